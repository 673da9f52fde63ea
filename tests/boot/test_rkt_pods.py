"""Pods of rkt in the booted machine: event handlers, stops, volumes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from photonbuild.machines.guest import BOX
from photonbuild.run import Completed
from tests.support.garden_lab import until
from tests.support.machines import Guest

pytestmark = pytest.mark.boot

RKT = "rkt --insecure-options=image"
FOLDER = "/root/pods"
UUID = f"{FOLDER}/uuid"


@dataclass
class Pods:
    """Images made of the box, and pods of them; `close` removes both."""

    guest: Guest
    images: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)

    def image(self, name: str, annotations: dict[str, str] | None = None, **app: Any) -> str:
        """The ID of an image of the box whose manifest has this app."""
        manifest = {
            "acKind": "ImageManifest",
            "acVersion": "0.8.11",
            "name": f"local/{name}",
            "annotations": [{"name": key, "value": value} for key, value in (annotations or {}).items()],
            "app": {"exec": ["/bin/sh"], "user": "0", "group": "0", **app},
        }
        self.guest.write(f"{BOX}/manifest", json.dumps(manifest))
        self.guest.ssh(f"cd {BOX} && tar -cf {FOLDER}/{name}.aci manifest rootfs")
        self.images.append(self.guest.out(f"{RKT} fetch --full {FOLDER}/{name}.aci | tail -n 1"))
        return self.images[-1]

    def run(self, arguments: str) -> Completed:
        """A pod to its end."""
        return self.guest.ssh(f"{RKT} run --store-only --uuid-file-save={UUID} {arguments}", check=False)

    def start(self, unit: str, arguments: str) -> None:
        """A pod as a unit; it runs when this returns."""
        self.units.append(unit)
        self.guest.ssh(
            f"rm -f {UUID}; systemd-run --quiet --collect --unit={unit} "
            f"{RKT} run --store-only --uuid-file-save={UUID} {arguments}"
        )
        until(lambda: "state=running" in self.guest.ssh(f"rkt status $(cat {UUID})", check=False).stdout, 240)

    def status(self) -> dict[str, str]:
        """Of the pod that was started last."""
        lines = self.guest.out(f"rkt status $(cat {UUID})").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def close(self) -> None:
        units, images = " ".join(self.units), " ".join(dict.fromkeys(self.images))
        self.guest.ssh(f"systemctl stop {units}; rkt gc --grace-period=0s; rkt gc --grace-period=0s", check=False)
        self.guest.ssh(f"rkt image rm {images}; rm -rf {FOLDER}", check=False)


@pytest.fixture
def pods(guest: Guest, box: str) -> Iterator[Pods]:
    guest.ssh(f"mkdir -p {FOLDER}/out")
    made = Pods(guest)
    yield made
    made.close()


def script(text: str) -> str:
    return f"--exec=/bin/sh -- -c {shlex.quote(text)}"


OUT = f"--volume=out,kind=host,source={FOLDER}/out --mount=volume=out,target=/out"
WAIT = 'trap "echo > /out/stopped; exit 0" TERM; echo > /out/up; while :; do sleep 0.1; done'


def handler(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "exec": ["/bin/sh", "-c", text]}


def started(pods: Pods) -> None:
    until(lambda: pods.guest.ssh(f"test -e {FOLDER}/out/up", check=False).returncode == 0, 240)


def test_post_stop_runs_when_a_pod_is_stopped(pods: Pods) -> None:
    handlers = [handler("pre-start", "echo > /out/pre"), handler("post-stop", "sleep 1; echo > /out/post")]
    image = pods.image("handlers", eventHandlers=handlers)
    pods.start("handlers-pod", f"{OUT} {image} {script(WAIT)}")
    started(pods)
    pods.guest.ssh(f"rkt stop $(cat {UUID})")
    assert (pods.status()["state"], pods.status()["app-handlers"]) == ("exited", "0")
    assert pods.guest.out(f"ls {FOLDER}/out").split() == ["post", "pre", "stopped", "up"]


def test_a_post_stop_that_hangs_is_killed(pods: Pods) -> None:
    image = pods.image("hangs", eventHandlers=[handler("post-stop", "echo > /out/post; trap '' TERM; sleep 1000")])
    pods.start("hanging-pod", f"{OUT} {image} {script(WAIT)}")
    started(pods)
    pods.guest.ssh(f"timeout 45 rkt stop $(cat {UUID})")
    assert (pods.status()["state"], pods.status()["app-hangs"]) == ("exited", "137")
    assert pods.guest.out(f"ls {FOLDER}/out").split() == ["post", "stopped", "up"]
    assert pods.guest.ssh("pgrep -f '[s]leep 1000'", check=False).returncode == 1


def test_an_implicit_volume_is_one_apps_own(pods: Pods) -> None:
    image = pods.image("volumes", mountPoints=[{"name": "data", "path": "/data"}])
    write = "echo $AC_APP_NAME >> /data/names; sleep 2; cat /data/names"
    apps = [f"{image} --name={name} {script(write)}" for name in ("one", "two")]
    done = pods.run(" --- ".join(apps))
    assert done.returncode == 0 and sorted(done.stdout.split()) == ["one", "two"], done
    shared = pods.run(f"--volume=data,kind=empty {' --- '.join(apps)}")
    assert shared.returncode == 0 and sorted(shared.stdout.split()) == ["one", "one", "two", "two"], shared
