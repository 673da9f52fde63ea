"""rkt takes images from a registry over plain HTTP and converts them on the fly; what is wrong with others it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.support.machines import Guest
from tests.support.registry import Registry

pytestmark = pytest.mark.boot

RKT = "rkt --insecure-options=image,http"


@pytest.fixture(scope="module")
def address(guest: Guest, images: Registry) -> Iterator[str]:
    yield f"docker://{guest.facts['testnet']['host']}:{images.port}/box"
    guest.ssh(
        "rkt gc --grace-period=0s; rkt image list --no-legend --full | cut -f 1 | xargs -r rkt image rm", check=False
    )


@pytest.mark.parametrize("tag", ["", ":latest", ":many"])
def test_fetch_and_run(guest: Guest, address: str, tag: str) -> None:
    image = guest.out(f"{RKT} fetch --no-store --full {address}{tag} | tail -n 1")
    assert re.fullmatch(r"sha512-[0-9a-f]{64,128}", image)
    manifest = json.loads(guest.out(f"rkt image cat-manifest {image}"))
    assert manifest["acKind"] == "ImageManifest"
    environment = {entry["name"]: entry["value"] for entry in manifest["app"]["environment"]}
    assert environment == {"PATH": "/bin", "BOX": "registry"}
    assert manifest["app"]["workingDirectory"] == "/tmp"
    script = "echo $BOX $(pwd); cat /etc/layer; ls /etc/gone"
    done = guest.ssh(f"{RKT} run {image} --exec=/bin/sh -- -c '{script}' 2>&1", check=False)
    assert "registry /tmp" in done.stdout and "second" in done.stdout, done.stdout
    assert done.returncode != 0 and "No such file" in done.stdout


def test_a_registry_image_is_not_signed(guest: Guest, address: str) -> None:
    done = guest.ssh(f"rkt fetch {address}", check=False)
    assert done.returncode != 0 and "insecure-options" in done.stderr


@pytest.mark.parametrize(
    ("what", "says"), [(":nothing", "nothing"), (":other", "amd64"), ("/none", "none"), ("@sha256:12", "sha256")]
)
def test_an_image_that_is_not_there(guest: Guest, address: str, what: str, says: str) -> None:
    done = guest.ssh(f"{RKT} fetch {address}{what}", check=False)
    assert done.returncode != 0 and says in done.stderr
    assert "panic" not in done.stderr and "goroutine" not in done.stderr
