"""Connections to a machine that runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pico.containers import control
from pico.errors import PicoError
from pico.guest.errors import GuestError
from pico.vm import launch, state
from pico.vm.state import Machine
from tests.support.pico_records import a_record


def test_a_port_is_used_by_one(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())
    held = launch.port_lock(machine, 1)
    assert held is not None
    assert launch.port_lock(machine, 1) is None
    os.close(held)
    again = launch.port_lock(machine, 1)
    assert again is not None
    os.close(again)


class Told:
    """A session that notes what it is told."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, float]] = []

    def shutdown(self, *, signal: int, seconds: float) -> None:
        self.ended.append((signal, seconds))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Of a machine that lives until it is told to end; the first connection is refused."""
    found, refusals = Told(), [PicoError("in use"), GuestError("no answer")]

    @contextlib.contextmanager
    def session(machine: Machine, ports: Any, *, seconds: float) -> Iterator[Told]:
        if refusals:
            raise refusals.pop()
        yield found

    monkeypatch.setattr(control, "session", session)
    monkeypatch.setattr(Machine, "pid", lambda self: None if found.ended else 1)
    monkeypatch.setattr(Machine, "wait", lambda self, seconds=None: bool(found.ended))
    monkeypatch.setattr(control, "AGAIN", 0.01)
    monkeypatch.setattr(Machine, "kill", lambda self: found.ended.append((9, -1)) if not found.ended else None)
    return found


def test_stop_is_no_kill_because_another_one_talks_to_the_machine(tmp_path: Path, told: Told) -> None:
    control.stop(state.create(tmp_path, a_record(stop_signal=10)), 7)
    assert told.ended == [(10, 7)]


def test_kill_lets_a_volume_be_written_out(tmp_path: Path, told: Told) -> None:
    control.kill(state.create(tmp_path, a_record(volumes=["/a:/b:rw"])), 9)
    assert told.ended == [(9, 0)]


def test_kill_is_at_once_where_nothing_can_be_lost(tmp_path: Path, told: Told) -> None:
    control.kill(state.create(tmp_path, a_record(volumes=["/a:/b:ro"])), 9)
    assert told.ended == [(9, -1)]
