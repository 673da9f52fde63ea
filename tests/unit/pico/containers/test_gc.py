"""Removal."""

from __future__ import annotations

from pathlib import Path

from pico.containers import gc
from pico.guest.protocol import Frame, Type, payload
from pico.vm import state
from tests.support.pico_records import a_record, write_log


def test_machines_to_be_removed_go_when_they_have_ended(tmp_path: Path) -> None:
    kept = state.create(tmp_path, a_record())
    gone = state.create(tmp_path, a_record("ba9876543210", "two", remove=True))
    for machine in (kept, gone):
        write_log(machine, Frame(Type.EXITED, 1, payload([("code", "0")])))
    assert gc.ended(tmp_path) == [gone.id]
    assert [machine.id for machine in state.machines(tmp_path)] == [kept.id]
