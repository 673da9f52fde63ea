"""Fixtures: the machine that `photonbuild.verify` has started, and the world outside it."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

FACTS = "PHOTONBUILD_MACHINE"


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """Ports, names and files of this run; see `photonbuild.verify.facts_for`."""
    if FACTS not in os.environ:
        pytest.fail(f"{FACTS} is not set: these tests are run by photonbuild verify", pytrace=False)
    loaded: dict[str, Any] = json.loads(Path(os.environ[FACTS]).read_text())
    return loaded


@pytest.fixture(scope="session")
def host(facts: dict[str, Any]) -> Host:
    """The machine, over ssh."""
    return testinfra.get_host("ssh://machine", ssh_config=facts["ssh_config"])


@pytest.fixture(scope="session")
def fetch(facts: dict[str, Any]) -> Callable[[], str]:
    """Get the published port from outside; waits until something answers."""

    def get(timeout: float = 30) -> str:
        deadline = time.monotonic() + timeout
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{facts['published_here']}/", timeout=5) as reply:
                    return str(reply.read().decode())
            except (OSError, urllib.error.URLError) as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"no answer from the published port: {error}") from None
                time.sleep(0.3)

    return get


@pytest.fixture(scope="session")
def names_from_outside(host: Host, facts: dict[str, Any]) -> None:
    """Queries to the machine's configured name server end at the test's own one, outside the machine."""
    for chain in ("PREROUTING", "OUTPUT"):
        host.check_output(
            f"iptables -t nat -I {chain} -d {facts['nameserver']} -p udp --dport 53 "
            f"-j DNAT --to-destination {facts['outside']}:{facts['dns_port']}"
        )
    host.check_output("resolvectl flush-caches")
