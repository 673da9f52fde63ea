"""rkt: pods run, return their apps' exit codes, are reached and reach out, are limited, and are removed completely.

Commands: https://github.com/rkt/rkt/tree/master/Documentation/subcommands
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from photonbuild.machines.guest import left_behind, put_aci, traces

RKT = "rkt --insecure-options=image"
UUID_FILE = "/run/check-pod.uuid"
UNIT = "check-pod"
SERVER = "echo hello from $(hostname) > /www/index.html; exec httpd -f -p 80 -h /www"


def run_pod(host: Host, script: str, options: str = "", app: str = "") -> CommandResult:
    """Run a pod of one app, a shell script, to its end."""
    aci = "local/box"
    return host.run(
        f"{RKT} run --store-only --uuid-file-save={UUID_FILE} {options} {aci} {app} --exec=/bin/sh "
        f"-- -c {shlex.quote(script)}"
    )


def start_web_server(host: Host, facts: dict[str, Any], box: str, port: int, script: str) -> None:
    aci = put_aci(facts["ssh_config"])
    host.check_output(
        f"systemd-run --quiet --unit=side-pod -p SuccessExitStatus=143 {RKT} run --net=default --port=www:{port} {aci} "
        f"--exec=/bin/sh -- -c {shlex.quote(script)}"
    )


def stop_web_server(host: Host) -> None:
    host.check_output(
        "systemctl stop side-pod && ! systemctl is-failed --quiet side-pod"
        " && rkt gc --grace-period=0s && rkt gc --grace-period=0s && rkt image rm local/box"
    )


def status(host: Host) -> dict[str, str]:
    """What rkt knows of the pod that ran last."""
    lines = host.check_output(f"rkt status $(cat {UUID_FILE})").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.fixture(scope="module", autouse=True)
def image(host: Host, facts: dict[str, Any], box: str) -> Iterator[str]:
    """The image's ID in rkt's store; afterwards no pod and no image is left there."""
    aci = put_aci(facts["ssh_config"])
    fetched = host.check_output(f"{RKT} fetch --full {aci}").splitlines()[-1]
    yield fetched
    host.run(f"systemctl stop {UNIT}; rkt gc --grace-period=0s; rkt image rm {fetched}; rm -f {UUID_FILE}")


@pytest.fixture(scope="module")
def before(host: Host, facts: dict[str, Any], ports: list[int], image: str) -> Counter[str]:
    """What is there when pods have come and gone: the first one makes the bridge and chains that all share."""
    run_pod(host, "true", f"--net=default --port=www:{ports[0]}")
    host.check_output(f"rkt rm $(cat {UUID_FILE})")
    return traces(facts["ssh_config"])


@pytest.fixture(scope="module")
def server(host: Host, ports: list[int], before: Counter[str]) -> str:
    """A pod with a published port, as a unit of systemd, shared by the tests of this module."""
    host.check_output(
        f"systemd-run --quiet --unit={UNIT} {RKT} run --store-only --net=default --port=www:{ports[0]} --hostname=pod1 "
        f"--uuid-file-save={UUID_FILE}.server local/box --exec=/bin/sh -- -c {shlex.quote(SERVER)}"
    )
    return f"$(cat {UUID_FILE}.server)"


def test_unit(host: Host, facts: dict[str, Any]) -> None:
    assert host.check_output(f"systemctl is-active {facts['runtimes']['rkt']['unit']}") == "active"


def test_version_says_what_it_is(host: Host) -> None:
    text = host.check_output("rkt version")
    assert re.search(r"independent implementation", text, re.IGNORECASE)
    assert "0.8.11" in text


def test_image_is_in_the_store(host: Host, image: str) -> None:
    assert re.fullmatch(r"sha512-[0-9a-f]{64,128}", image)
    listed = host.check_output("rkt image list --full --no-legend")
    assert image in listed and "local/box" in listed
    assert json.loads(host.check_output(f"rkt image cat-manifest {image}"))["name"] == "local/box"


def test_an_unsigned_image_is_refused(host: Host, facts: dict[str, Any], image: str) -> None:
    refused = host.run(f"rkt fetch --no-store {put_aci(facts['ssh_config'])}")
    assert refused.rc != 0 and "sign" in refused.stderr


def test_it_runs_and_returns_the_exit_code(host: Host) -> None:
    done = run_pod(host, "echo it runs; exit 7")
    assert "it runs" in done.stdout and done.rc == 7, done.stderr
    assert (status(host)["state"], status(host)["app-box"]) == ("exited", "7")


def test_limits_reach_the_kernel(host: Host) -> None:
    script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max"
    done = run_pod(host, script, app="--memory=64Mi --cpu=500m")
    assert str(64 << 20) in done.stdout, done.stderr
    assert "50000 100000" in done.stdout


def test_memory_limit_kills(host: Host) -> None:
    assert run_pod(host, "tail /dev/zero & wait $!", app="--memory=64Mi").rc == 137
    assert status(host)["app-box"] == "137"


def test_outside_name_and_server(host: Host, facts: dict[str, Any], testnet_dns: None) -> None:
    done = run_pod(host, f"wget -q -O - -T 20 {facts['testnet']['url']}", f"--net=default --dns={facts['nameserver']}")
    assert facts["testnet"]["token"] in done.stdout, done.stderr


def test_published_port_from_outside(server: str, fetch: Callable[..., str]) -> None:
    assert fetch() == "hello from pod1\n"


def test_list_and_status(host: Host, server: str) -> None:
    uuid = host.check_output(f"echo {server}")
    lines = [line for line in host.check_output("rkt list --full --no-legend").splitlines() if uuid in line]
    assert len(lines) == 1 and "running" in lines[0] and re.search(r"default:ip4=\d+\.\d+\.\d+\.\d+", lines[0])
    assert "state=running" in host.check_output(f"rkt status {uuid}").splitlines()


def test_enter(host: Host, server: str) -> None:
    assert host.check_output(f"rkt enter {server} /bin/hostname") == "pod1"


def test_pod_manifest(host: Host, server: str) -> None:
    manifest = json.loads(host.check_output(f"rkt cat-manifest {server}"))
    assert manifest["acKind"] == "PodManifest"
    assert [app["name"] for app in manifest["apps"]] == ["box"]


def test_stop(host: Host, server: str) -> None:
    host.check_output(f"rkt stop {server}")
    assert "state=exited" in host.check_output(f"rkt status --wait=30s {server}").splitlines()


def test_gc_leaves_nothing(host: Host, server: str, facts: dict[str, Any], before: Counter[str]) -> None:
    host.check_output("rkt gc --grace-period=0s")
    host.run(f"rkt gc --grace-period=0s; systemctl reset-failed {UNIT}; rm -f {UUID_FILE}.server")
    assert host.check_output("rkt list --no-legend") == ""
    assert left_behind(facts["ssh_config"], before) == []
