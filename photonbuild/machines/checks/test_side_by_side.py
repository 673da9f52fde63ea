"""All runtimes at once, each serving on a port of its own: none disturbs the others when it comes, restarts or goes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

from photonbuild.machines.guest import ACI, put_aci

API = "curl -sSf --max-time 60 --unix-socket /run/gdn/gdn.sock -H 'Content-Type: application/json'"
UNIT = "side-pod"


def serve(name: str) -> str:
    return shlex.quote(f"echo {name} > /www/index.html; exec httpd -f -p 80 -h /www")


def start_docker(host: Host, box: str, port: int) -> None:
    host.check_output(f"tar -C {box} -c . | docker import - local/side")
    host.check_output(f"docker run -d --name side -p {port}:80 local/side sh -c {serve('docker')}")


def start_rkt(host: Host, box: str, port: int) -> None:
    host.check_output(
        f"systemd-run --quiet --unit={UNIT} rkt --insecure-options=image run --net=default --port=www:{port} {ACI} "
        f"--exec=/bin/sh -- -c {serve('rkt')}"
    )


def start_garden(host: Host, box: str, port: int) -> None:
    spec = {"handle": "side", "image": {"uri": box}, "netin": [{"host_port": port, "container_port": 80}]}
    host.check_output(f"{API} -d {shlex.quote(json.dumps(spec))} http://garden/containers")
    process = {"path": "/bin/sh", "args": ["-c", "echo garden > /www/index.html; exec httpd -f -p 80 -h /www"]}
    # The answer lasts as long as the process, and the process stays when the client goes.
    url = "http://garden/containers/side/processes"
    host.check_output(f"{API} -N --raw -d {shlex.quote(json.dumps(process))} {url} </dev/null >/dev/null 2>&1 &")


STOP = {
    "docker": "docker rm -f side; docker rmi local/side",
    "rkt": f"systemctl stop {UNIT}; rkt gc --grace-period=0s; rkt gc --grace-period=0s; rkt image rm local/box",
    "garden": f"{API} -X DELETE http://garden/containers/side",
}


@pytest.fixture(scope="module")
def running(host: Host, facts: dict[str, Any], box: str, ports: list[int]) -> Iterator[dict[str, int]]:
    """Port by runtime; each serves its own name."""
    put_aci(facts["ssh_config"])
    where = dict(zip(("docker", "rkt", "garden"), ports, strict=True))
    start_docker(host, box, where["docker"])
    start_rkt(host, box, where["rkt"])
    start_garden(host, box, where["garden"])
    yield where
    for command in STOP.values():
        host.run(command)


def test_all_serve_at_once(running: dict[str, int], fetch: Callable[..., str]) -> None:
    assert {name: fetch(port) for name, port in running.items()} == {name: f"{name}\n" for name in running}


def test_a_restarted_daemon_leaves_the_others_alone(
    host: Host, running: dict[str, int], facts: dict[str, Any], fetch: Callable[..., str]
) -> None:
    for unit in facts["runtimes"].values():
        host.check_output(f"systemctl restart {unit}")
        assert [fetch(port) for port in running.values()] == [f"{name}\n" for name in running], unit


def test_the_one_that_goes_leaves_the_others_alone(
    host: Host, running: dict[str, int], fetch: Callable[..., str]
) -> None:
    left = dict(running)
    for name in running:
        host.check_output(STOP[name])
        del left[name]
        assert [fetch(port) for port in left.values()] == [f"{name}\n" for name in left]
