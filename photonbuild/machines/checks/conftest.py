"""Fixtures: the machine that `photonbuild verify` has started, and the testnet that it reaches."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from photonbuild.machines.checks.pico import PicoBackend
from photonbuild.machines.guest import BOX, put_box

FACTS = "PHOTONBUILD_MACHINE"


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """Ports, names and files of this run; see `machines.verify.facts_for`, `pipeline.verify_pico.start`."""
    if FACTS not in os.environ:
        pytest.fail(f"{FACTS} is not set: these tests are run by photonbuild verify", pytrace=False)
    loaded: dict[str, Any] = json.loads(Path(os.environ[FACTS]).read_text())
    return loaded


@pytest.fixture(scope="session")
def host(facts: dict[str, Any]) -> Host:
    """The machine, over ssh, or the container in a pico machine."""
    if "pico" in facts:
        return Host(PicoBackend(facts["pico"]))
    return testinfra.get_host("ssh://machine", ssh_config=facts["ssh_config"])


@pytest.fixture(scope="session")
def ports(facts: dict[str, Any]) -> list[int]:
    """Ports of the machine that are seen outside, for containers to be published at."""
    return sorted(int(port) for port in facts["published"])


@pytest.fixture(scope="session")
def fetch(facts: dict[str, Any], ports: list[int]) -> Callable[..., str]:
    """Get a published port, by default the first, from outside; waits until something answers."""

    def get(port: int = ports[0], timeout: float = 30) -> str:
        here = facts["published"][str(port)]
        deadline = time.monotonic() + timeout
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{here}/", timeout=5) as reply:
                    return str(reply.read().decode())
            except (OSError, urllib.error.URLError) as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"no answer from published port {port}: {error}") from None
                time.sleep(0.3)

    return get


@pytest.fixture(scope="session")
def box(host: Host, facts: dict[str, Any]) -> Iterator[str]:
    """The path of a root file system made in the machine of one static program; it is gone afterwards."""
    yield put_box(facts["ssh_config"], Path(facts["busybox"]))
    host.check_output(f"rm -rf {BOX}")


@pytest.fixture(scope="session")
def testnet_dns(host: Host, facts: dict[str, Any]) -> None:
    """Queries to the machine's configured name server end at that of the testnet."""
    for chain in ("PREROUTING", "OUTPUT"):
        host.check_output(
            f"iptables -t nat -I {chain} -d {facts['nameserver']} -p udp --dport 53 "
            f"-j DNAT --to-destination {facts['testnet']['host']}:{facts['testnet']['dns_port']}"
        )
    host.check_output("resolvectl flush-caches")
