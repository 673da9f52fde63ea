"""The scheduler with jobs that only note that they ran."""

from __future__ import annotations

import signal
import threading

import pytest

from photonbuild.schedule import run_graph

NEEDS = {"a": set[str](), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}, "e": set[str]()}


def test_order_and_priority() -> None:
    ran: list[str] = []
    assert run_graph(NEEDS, ran.append, workers=1, priority={"e": 9, "c": 5, "b": 1}) == {}
    assert ran == ["e", "a", "c", "b", "d"]


def test_error_stops_what_needs_it() -> None:
    ran: list[str] = []

    def job(name: str) -> None:
        if name == "b":
            raise ValueError(name)
        ran.append(name)

    errors = run_graph(NEEDS, job, workers=1, priority={}, keep_going=True)
    assert list(errors) == ["b"]
    assert sorted(ran) == ["a", "c", "e"]
    ran.clear()
    run_graph(NEEDS, job, workers=1, priority={"a": 2, "b": 3}, keep_going=False)
    assert ran == ["a"]


def test_never_more_than_workers_at_once() -> None:
    lock, now, most = threading.Lock(), 0, 0
    gate = threading.Barrier(3, timeout=10)

    def job(name: str) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.wait()
        with lock:
            now -= 1

    run_graph({str(number): () for number in range(9)}, job, workers=3, priority={})
    assert most == 3


def test_interrupt_ends_running_jobs() -> None:
    stop, main = threading.Event(), threading.get_ident()

    def job(name: str) -> None:
        signal.pthread_kill(main, signal.SIGINT)
        assert stop.wait(10)

    with pytest.raises(KeyboardInterrupt):
        run_graph({"x": ()}, job, workers=1, priority={}, on_interrupt=stop.set)
    assert stop.is_set()
