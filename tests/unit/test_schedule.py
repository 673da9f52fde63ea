"""The scheduler with jobs that only note that they ran."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from photonbuild.schedule import Busy, run_graph

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


def test_a_busy_job_gives_its_place_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photonbuild.schedule.PAUSE", 0.05)
    ran: list[str] = []

    def job(name: str) -> None:
        ran.append(name)
        if name == "first" and len(ran) < 4:
            raise Busy

    needs = {"first": set[str](), "user": {"first"}, "second": set[str](), "third": set[str]()}
    assert run_graph(needs, job, workers=1, priority={"first": 9, "second": 5}) == {}
    assert ran[:3] == ["first", "second", "third"]
    assert ran[-2:] == ["first", "user"]


def test_a_busy_job_after_an_error_is_not_waited_for() -> None:
    def job(name: str) -> None:
        raise Busy if name == "busy" else ValueError(name)

    assert list(run_graph({"busy": (), "wrong": ()}, job, workers=1, priority={"busy": 1})) == ["wrong"]


def test_thousands_of_jobs_take_no_time() -> None:
    needs = {
        f"{number:05}": {f"{below:05}" for below in range(number - 40, number) if below >= 0} for number in range(5000)
    }
    ran: list[str] = []
    started = time.process_time()
    assert run_graph(needs, ran.append, workers=4, priority={}) == {}
    assert time.process_time() - started < 6
    assert ran == sorted(needs)


def test_interrupt_ends_running_jobs() -> None:
    stop, main = threading.Event(), threading.get_ident()

    def job(name: str) -> None:
        signal.pthread_kill(main, signal.SIGINT)
        assert stop.wait(10)

    with pytest.raises(KeyboardInterrupt):
        run_graph({"x": ()}, job, workers=1, priority={}, on_interrupt=stop.set)
    assert stop.is_set()
