"""Machines as folders."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pico.errors import PicoError
from pico.guest.protocol import Frame, Type, payload
from pico.vm import launch, state
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


def test_what_a_guest_says_of_its_end_stops_nobody(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())
    for words in ({"code": "9" * 5000}, {"code": "256"}, {"signal": "-1"}, {"code": "\u0663"}, {"code": ""}, {}):
        write_log(machine, Frame(Type.EXITED, 1, payload(words.items())))
        assert machine.exit_code() == 137
    write_log(machine, Frame(Type.TIME, 0, payload([("clock", "9" * 5000)])), Frame(Type.STDOUT, 1, b"x"))
    assert machine.exit_code() == 137


def test_the_exit_code_is_read_from_the_log_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = state.create(tmp_path, a_record())
    write_log(machine, Frame(Type.EXITED, 1, payload([("code", "3")])))
    assert machine.exit_code() == 3
    monkeypatch.setattr(state, "read_log", None)
    assert machine.exit_code() == 3


def test_a_machine_is_its_owners_alone(tmp_path: Path) -> None:
    """Its variables are secrets."""
    os.umask(0o022)
    machine = state.create(tmp_path, a_record(env=["PASSWORD=x"]))
    assert machine.folder.stat().st_mode & 0o077 == 0
    spare = Machine(tmp_path / "machines" / "ba9876543210")
    spare.folder.mkdir(mode=0o755)
    state.adopt(spare, a_record("ba9876543210", "two"), tmp_path)
    assert spare.folder.stat().st_mode & 0o077 == 0


def test_qemu_can_hold_its_lock_but_not_name_another_process(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())
    image = tmp_path / "image"
    image.touch()
    with contextlib.ExitStack() as stack:
        files = launch.open_files(stack, machine, image)
        inherited = files.all()
        assert files.identity not in inherited
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(files.alive, b"1")
        assert machine.pid() == 0
        os.pwrite(files.identity, b"4711", 0)
        assert machine.pid() == 4711
        os.pwrite(files.identity, b"no number", 0)
        assert machine.pid() == 0


def test_kvm_is_opened_for_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As who starts it: its own user may not."""
    machine = state.create(tmp_path, a_record())
    for name in ("image", "kvm"):
        (tmp_path / name).touch()
    (tmp_path / "kvm").chmod(0o600)
    monkeypatch.setattr(launch, "KVM", tmp_path / "kvm")
    with contextlib.ExitStack() as stack:
        files = launch.open_files(stack, machine, tmp_path / "image", kvm=True)
        assert files.descriptors.kvm is not None
        assert os.fstat(files.descriptors.kvm).st_ino == (tmp_path / "kvm").stat().st_ino
        assert fcntl.fcntl(files.descriptors.kvm, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        assert files.descriptors.kvm in files.all()
    (tmp_path / "kvm").unlink()
    (machine.folder / "alive").unlink()
    for path in machine.folder.iterdir():
        if path.is_socket():
            path.unlink()
    with contextlib.ExitStack() as stack, pytest.raises(PicoError, match="cannot open"):
        launch.open_files(stack, machine, tmp_path / "image", kvm=True)
