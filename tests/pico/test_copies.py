"""Machines that are copies of a zygote, as they are without KVM."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.hardware import TCG
from photonbuild.store import Store
from pico.bench.measure import memory_of
from pico.vm.state import Machine
from tests.pico.test_run import fetch
from tests.support.pico_command import PicoCommand, until

pytestmark = pytest.mark.boot
WANTED_MIB = 24


@pytest.fixture
def ready(pico: PicoCommand, box: Path, machine_seed: Path, store: Store) -> Path:
    """The image, and a template with its zygote."""
    if best_accel(machine_seed, store.scratch) != TCG:
        pytest.skip("with KVM there are spares")
    pico.ok("pull", box)
    pico.ok("template")
    return box


def birth(pico: PicoCommand, name: str) -> str:
    record = Machine(Path(pico.ps()[name]["folder"])).record()
    assert record is not None
    return record.birth


def zygote(pico: PicoCommand) -> int:
    (row,) = [row for row in pico.ps().values() if row["id"].startswith("zygote")]
    return int(row["pid"])


def test_a_copy_has_nothing_of_the_zygote(pico: PicoCommand, ready: Path) -> None:
    pico.ok("run", "-d", "--name", "copy", "--network", "none", ready, "sleep", "600")
    assert birth(pico, "copy") == "copy"
    pid, parent = int(pico.ps()["copy"]["pid"]), zygote(pico)
    status = Path(f"/proc/{pid}/status").read_text()
    for field, value in (("Seccomp", "2"), ("NoNewPrivs", "1"), ("CapPrm", "0+"), ("CapEff", "0+"), ("CapBnd", "0+")):
        assert re.search(rf"^{field}:\s+{value}$", status, re.MULTILINE), field
    assert re.search(r"^NSpid:\s+.*\s1$", status, re.MULTILINE)
    for name in ("user", "mnt", "pid", "ipc", "uts", "net"):
        assert Path(f"/proc/{pid}/ns/{name}").readlink() != Path(f"/proc/{parent}/ns/{name}").readlink(), name
    mine = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    its = {str(link.readlink()) for link in Path(f"/proc/{parent}/fd").iterdir()}
    assert {path for path in mine & its if not path.startswith(("anon_inode:", "/dev/"))} == set()
    assert "/proc" not in mine


def test_a_copy_costs_little(pico: PicoCommand, ready: Path) -> None:
    pico.ok("run", "-d", "--name", "small", ready, "sleep", "600")
    assert birth(pico, "small") == "copy"
    found = memory_of(int(pico.ps()["small"]["pid"]))
    assert found["own"] < WANTED_MIB, found


def test_copies_outlive_the_zygote(pico: PicoCommand, ready: Path) -> None:
    pico.ok("run", "-d", "--name", "before", ready, "sleep", "600")
    os.kill(zygote(pico), signal.SIGKILL)
    assert pico.ok("exec", "before", "echo", "well") == "well\n"
    pico.ok("run", "-d", "--name", "after", ready, "sleep", "600")
    assert birth(pico, "after") == "clone"

    def copied() -> bool:
        pico.ok("run", "--name", "again", ready, "true")
        found = birth(pico, "again")
        pico.ok("rm", "-f", "again")
        return found == "copy"

    assert until(copied, 60), "the next zygote was never made"


def test_a_port_and_a_terminal_of_a_copy(pico: PicoCommand, ready: Path) -> None:
    pico.ok("run", "-d", "--name", "one", "-p", "127.0.0.1:18391:80", ready, "httpd", "-f", "-p", "80", "-h", "/etc")
    assert birth(pico, "one") == "copy"
    assert until(lambda: b"of the second layer" in fetch(18391, "/second"))
    assert "the name 'one' is taken" in pico.fails(125, "run", "--name", "one", ready, "true")
    assert "cannot publish" in pico.fails(125, "run", "-p", "127.0.0.1:18391:80", ready, "true")
