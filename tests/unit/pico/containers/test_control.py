"""Connections to a machine that runs."""

from __future__ import annotations

import os
from pathlib import Path

from pico.containers import control
from pico.vm import state
from tests.support.pico_records import a_record


def test_a_port_is_used_by_one(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())
    held = control.port_lock(machine, 1)
    assert held is not None
    assert control.port_lock(machine, 1) is None
    os.close(held)
    again = control.port_lock(machine, 1)
    assert again is not None
    os.close(again)
