"""All runtimes at once, each serving on a port of its own: none disturbs the others when it comes, restarts or goes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

from photonbuild.machines.checks.runtime import RuntimeCheck, load


@pytest.fixture(scope="module")
def runtimes(facts: dict[str, Any]) -> dict[str, RuntimeCheck]:
    """The runtimes of this machine, by name."""
    return {name: load(runtime["check"]) for name, runtime in facts["runtimes"].items()}


@pytest.fixture(scope="module")
def running(
    host: Host, facts: dict[str, Any], box: str, ports: list[int], runtimes: dict[str, RuntimeCheck]
) -> Iterator[dict[str, int]]:
    """Port by runtime; each serves its own name."""
    assert len(ports) >= len(runtimes), "each runtime needs a published port"
    served: dict[str, int] = {}
    try:
        for (name, runtime), port in zip(runtimes.items(), ports, strict=False):
            script = f"echo {name} > /www/index.html; exec httpd -f -p 80 -h /www"
            served[name] = port
            runtime.start_web_server(host, facts, box, port, script)
        yield served
    finally:
        for name in served:
            with contextlib.suppress(AssertionError):
                runtimes[name].stop_web_server(host)


def test_all_serve_at_once(running: dict[str, int], fetch: Callable[..., str]) -> None:
    assert {name: fetch(port) for name, port in running.items()} == {name: f"{name}\n" for name in running}


def test_a_restarted_daemon_leaves_the_others_alone(
    host: Host, running: dict[str, int], facts: dict[str, Any], fetch: Callable[..., str]
) -> None:
    for runtime in facts["runtimes"].values():
        host.check_output(f"systemctl restart {runtime['unit']}")
        assert [fetch(port) for port in running.values()] == [f"{name}\n" for name in running], runtime["unit"]


def test_the_one_that_goes_leaves_the_others_alone(
    host: Host, running: dict[str, int], runtimes: dict[str, RuntimeCheck], fetch: Callable[..., str]
) -> None:
    left = dict(running)
    for name in list(running):
        runtimes[name].stop_web_server(host)
        del left[name]
        assert [fetch(port) for port in left.values()] == [f"{name}\n" for name in left]
