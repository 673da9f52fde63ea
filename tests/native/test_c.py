"""The C programs of src/, in namespaces of the sandbox, with the build seed's Python as their other side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.native import C
from tests.support.unconfined import unconfined


@pytest.fixture(autouse=True)
def may_mount() -> Iterator[None]:
    """The programs under test make namespaces and mounts."""
    with unconfined():
        yield


def test_parts_of_the_agent(agent: C) -> None:
    agent.run("./test-parts")


def test_agent(agent: C) -> None:
    agent.run("python3", "-m", "unittest", "tests.native.inside.agent", AGENT="/made/pico-agent")


def test_agent_with_sanitizers(agent: C) -> None:
    # What a process that ends on purpose has not given back is no leak.
    checked = {"AGENT": "/made/pico-agent-checked", "ASAN_OPTIONS": "detect_leaks=0"}
    agent.run("python3", "-m", "unittest", "tests.native.inside.agent", **checked)


def test_gate_of_the_network(network: C) -> None:
    network.run("./test-gate")


def test_parts_of_the_boot_assessment(assessment: C) -> None:
    assessment.run("./test-parts")


def test_a_power_cut_before_each_step_of_the_way_back(assessment: C) -> None:
    assert int(assessment.run("./test-back").split()[0]) >= 7


def test_zygote(zygote: C) -> None:
    zygote.run("python3", "-m", "unittest", "tests.native.inside.zygote", ZYGOTE="/made")


def test_parts_of_the_package_client(client: C) -> None:
    # Its memory lives until it ends.
    client.run("./test-parts", ASAN_OPTIONS="detect_leaks=0")
