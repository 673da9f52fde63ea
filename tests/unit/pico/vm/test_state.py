"""Machines as folders."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pico.errors import PicoError
from pico.guest.protocol import Frame, Type, payload
from pico.vm import state
from pico.vm.state import Machine
from tests.support.pico_records import a_record, write_log


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[Machine, subprocess.Popen[bytes]]]:
    """A machine whose QEMU is a process that holds the lock and sleeps."""
    machine = state.create(tmp_path, a_record())
    alive = os.open(machine.folder / "alive", os.O_CREAT | os.O_RDWR)
    fcntl.flock(alive, fcntl.LOCK_EX)
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], pass_fds=[alive])
    os.pwrite(alive, str(process.pid).encode(), 0)
    os.close(alive)
    yield machine, process
    process.kill()
    process.wait()


def test_a_machine_lives_as_long_as_its_lock_is_held(sleeper: tuple[Machine, subprocess.Popen[bytes]]) -> None:
    machine, process = sleeper
    assert (machine.state(), machine.pid()) == ("running", process.pid)
    assert not machine.wait(0.01)
    process.kill()
    process.wait()
    assert machine.wait(5)
    assert machine.pid() is None


def test_kill_ends_it(sleeper: tuple[Machine, subprocess.Popen[bytes]]) -> None:
    machine, process = sleeper
    machine.kill()
    assert process.wait(5) == -9


def test_a_process_id_alone_is_no_sign_of_life(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())
    (machine.folder / "alive").write_text(str(os.getpid()))
    assert machine.pid() is None
    machine.kill()
    assert machine.state() == "created"


def test_exit_codes_come_from_the_log(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())
    write_log(machine, Frame(Type.STARTED, 1), Frame(Type.EXITED, 2, payload([("code", "9")])))
    assert (machine.state(), machine.exit_code()) == ("exited", 137)
    write_log(machine, Frame(Type.EXITED, 1, payload([("code", "3")])))
    assert machine.exit_code() == 3
    write_log(machine, Frame(Type.EXITED, 1, payload([("signal", "15")])))
    assert machine.exit_code() == 143
    machine.log.write_bytes(machine.log.read_bytes()[:-3])
    assert machine.exit_code() == 137


def test_names_are_taken_once(tmp_path: Path) -> None:
    first = state.create(tmp_path, a_record())
    with pytest.raises(PicoError, match="the name 'one' is taken"):
        state.create(tmp_path, a_record("ba9876543210"))
    assert not (tmp_path / "machines/ba9876543210").exists()
    first.remove()
    state.create(tmp_path, a_record("ba9876543210"))


def test_machines_are_found_by_name_id_and_its_beginning(tmp_path: Path) -> None:
    one = state.create(tmp_path, a_record())
    two = state.create(tmp_path, a_record("0129876543ab", "two"))
    assert state.find(tmp_path, "one") == one
    assert state.find(tmp_path, "0123") == one
    assert state.find(tmp_path, "0129876543ab") == two
    for wrong in ("012", "three", "", "../names/one"):
        with pytest.raises(PicoError):
            state.find(tmp_path, wrong)
