"""What an action prints while it runs, against a server that shows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from photonbuild.remote.actions import Again, Result
from photonbuild.remote.endpoint import endpoint
from photonbuild.remote.engine import Engine, engine
from photonbuild.remote.live import Live
from tests.unit.remote.fake import Server, nothing, serve

BEFORE, TEXT, LATER = b"# of the client\n", b"compiling\n", b"again\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(BEFORE)
    return path


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)


def has(log: Path, content: bytes) -> bool:
    return log.read_bytes() == content


def run(found: Engine, live: Live, keep: Callable[[Result], None] = lambda result: None) -> Result:
    return found.actions.run(nothing(), priority=0, keep=keep, live=live)


@pytest.mark.parametrize("faults", [[], [("Read", "half")]], ids=["whole", "breaks-off"])
def test_what_is_printed_is_seen_at_once(
    server: Server, found: Engine, log: Path, faults: list[tuple[str, str]]
) -> None:
    server.printing, server.faults = {"logstreams/1": TEXT}, list(faults)
    live = Live(found.connection, log, most=1 << 20)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, found, live)
        until(partial(has, log, BEFORE + TEXT))
        assert not running.done()
        server.ended.set()
        assert running.result(30).stdout == b"hello"
    assert server.calls.count("Read 3") == len(faults)
    # The result has the log as a whole.
    live.clear()
    assert log.read_bytes() == BEFORE


def test_another_try_prints_anew(server: Server, found: Engine, log: Path) -> None:
    server.printing = {"logstreams/1": TEXT, "logstreams/2": LATER}
    live = Live(found.connection, log, most=1 << 20)

    def keep(result: Result) -> None:
        if len(server.priorities) == 1:
            server.ended.clear()
            raise Again("no room")

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, found, live, keep)
        for text in (TEXT, LATER):
            until(partial(has, log, BEFORE + text))
            server.ended.set()
        running.result(30)
    assert log.read_bytes() == BEFORE + LATER


def test_no_more_is_taken_than_a_log_may_have(server: Server, found: Engine, log: Path) -> None:
    server.printing = {"logstreams/1": bytes(1000)}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, found, Live(found.connection, log, most=100))
        until(lambda: log.stat().st_size == len(BEFORE) + 100)
        until(lambda: server.calls.count("Read 100") > 1)  # by further words of the engine
        server.ended.set()
        running.result(30)
    assert log.stat().st_size == len(BEFORE) + 100


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED])
def test_a_stream_that_cannot_be_read_stops_nothing(
    server: Server, log: Path, monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode
) -> None:
    asked: list[int] = []

    def read(request: Any, context: grpc.ServicerContext) -> None:
        asked.append(request.read_offset)
        context.abort(code, "as chosen")

    server.printing = {"logstreams/1": TEXT}
    monkeypatch.setattr(server, "Read", read)
    with serve(server) as address, engine(endpoint(address)) as found, ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, found, Live(found.connection, log, most=1 << 20))
        until(lambda: len(asked) > 1)
        server.ended.set()
        assert running.result(30).code == 0
    assert log.read_bytes() == BEFORE
