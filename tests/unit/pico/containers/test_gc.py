"""Removal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pico.containers import gc
from pico.guest.protocol import Frame, Type, payload
from pico.vm import launch, state
from pico.vm.state import Machine
from tests.support.pico_records import a_record, write_log


def test_machines_to_be_removed_go_when_they_have_ended(tmp_path: Path) -> None:
    kept = state.create(tmp_path, a_record())
    gone = state.create(tmp_path, a_record("ba9876543210", "two", remove=True))
    for machine in (kept, gone):
        write_log(machine, Frame(Type.EXITED, 1, payload([("code", "0")])))
    assert gc.ended(tmp_path) == [gone.id]
    assert [machine.id for machine in state.machines(tmp_path)] == [kept.id]


def test_a_machine_that_nobody_starts_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its QEMU runs and its agent waits, but the command was killed."""
    names = ("empty", "early", "set-up", "started", "held")
    made = {name: state.create(tmp_path, a_record(f"{n:012x}", name)) for n, name in enumerate(names, 1)}
    living = set(made.values())
    monkeypatch.setattr(Machine, "pid", lambda self: 1 if self in living else None)
    monkeypatch.setattr(Machine, "kill", lambda self, seconds=10: living.discard(self))
    write_log(made["set-up"], Frame(Type.READY))
    write_log(made["started"], Frame(Type.READY), Frame(Type.STARTED, 1))
    for name in ("empty", "set-up", "started", "held"):
        os.utime(made[name].folder / state.RECORD, (1, 1))
    held = launch.port_lock(made["held"], 0)
    assert held is not None
    assert sorted(gc.ended(tmp_path)) == sorted([made["empty"].id, made["set-up"].id])
    os.close(held)
    assert living == {made["early"], made["started"], made["held"]}
