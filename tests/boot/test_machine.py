"""A machine leaves nothing behind, however its end comes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from photonbuild.errors import VerifyError
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.store import Store

pytestmark = pytest.mark.boot

HOLD = """
import sys, time
from pathlib import Path
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
with Machine(Hardware(memory=128), seed=Path(sys.argv[1]), scratch=Path(sys.argv[2])) as machine:
    print(machine.process.popen.pid, machine.folder, flush=True)
    time.sleep(600)
"""


def family(pid: int) -> set[int]:
    """`pid` and its living descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    parents[int(entry.name)] = int(fields[1])
    found = {pid} & set(parents)
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def wait_until(condition: object, seconds: float = 15) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if pid in family(pid)}


def test_the_block_ends_it(machine_seed: Path, store: Store) -> None:
    hardware = Hardware(memory=128)
    with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
        assert wait_until((machine.folder / "qmp.sock").exists)
        assert machine.qmp("query-status")["running"] is True
        members = family(machine.process.popen.pid)
        assert len(members) >= 3
    assert not machine.folder.exists()
    assert wait_until(lambda: not alive(members))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_our_end_is_its_end(machine_seed: Path, store: Store, number: signal.Signals) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    argv = [sys.executable, "-c", HOLD, str(machine_seed), str(store.scratch)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as holder:
        assert holder.stdout is not None
        pid, folder = holder.stdout.readline().split()
        assert wait_until((Path(folder) / "qmp.sock").exists)
        members = family(int(pid))
        holder.send_signal(number)
        holder.wait(timeout=30)
    assert len(members) >= 3
    assert wait_until(lambda: not alive(members))
    # Files in the temporary folder cannot be removed by a process that was killed.
    assert Path(folder).exists() == (number == signal.SIGKILL)
    if number == signal.SIGKILL:
        for file in Path(folder).iterdir():
            file.unlink()
        Path(folder).rmdir()


def test_a_machine_that_does_not_answer(machine_seed: Path, store: Store) -> None:
    with Machine(Hardware(memory=128), seed=machine_seed, scratch=store.scratch) as machine:
        with pytest.raises(VerifyError, match="no ssh login within 3 s"):
            machine.wait_for_ssh(3)
        with pytest.raises(VerifyError, match="still on 1 s after the power button"):
            machine.shut_down(1)


def test_options_that_qemu_refuses(machine_seed: Path, store: Store) -> None:
    hardware = Hardware(memory=128, accel="none-such")
    with (
        Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine,
        pytest.raises(VerifyError, match="the machine ended with exit code 1") as caught,
    ):
        machine.wait_for_ssh(20)
    assert "none-such" in (caught.value.detail or "")
