"""Tables."""

from __future__ import annotations

from pathlib import Path

from pico.containers import listing
from pico.guest.protocol import Frame, Type, payload
from pico.vm import state
from tests.support.pico_records import a_record, write_log


def test_the_table_of_machines(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())
    write_log(machine, Frame(Type.EXITED, 1, payload([("code", "3")])))
    assert listing.machines_of(tmp_path, all_of_them=False) == []
    lines = listing.machine_table(listing.machines_of(tmp_path, all_of_them=True)).splitlines()
    assert lines[0].split() == ["ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAME"]
    assert "exited (3)" in lines[1]
