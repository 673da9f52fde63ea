"""What takes too much is stopped with one line that says so, and leaves nothing: memory, processes, output, time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from photonbuild.errors import BuildError, SandboxError
from photonbuild.pipeline.configuration import load_config
from photonbuild.sandbox import cgroups
from photonbuild.sandbox.sandbox import Sandbox
from photonbuild.seeds import seed
from photonbuild.store import Store
from tests.integration.conftest import PROJECT, Checkout


@pytest.fixture(scope="module")
def sandbox(seeded_store: Path) -> Sandbox:
    store = Store.open(seeded_store)
    root = seed.build(load_config(PROJECT), store, "build", print, locked=False, offline=False).root
    return Sandbox(layers=[root], scratch=store.scratch)


@pytest.mark.parametrize(
    "argv",
    [
        ("python3", "-c", "x = bytearray(400 << 20)"),
        ("dd", "if=/dev/zero", "of=/big", "bs=1M", "count=400"),
        ("dd", "if=/dev/zero", "of=/dev/shm/big", "bs=1M", "count=400"),
    ],
    ids=["process", "root", "shm"],
)
def test_memory(sandbox: Sandbox, argv: tuple[str, ...]) -> None:
    """Of processes and of files in memory alike. Needs control groups that can be written, as root has them."""
    with pytest.raises(SandboxError, match="stopped: it needs more than 200 MiB of memory"):
        sandbox.run(argv, memory=200 << 20)
    assert not [path for path in cgroups.ROOT.glob(f"**/photonbuild/sandbox-{os.getpid()}-*") if path.is_dir()]


def test_processes(sandbox: Sandbox) -> None:
    """A fork bomb: the machine goes on, and nothing of it is left."""
    script = "import os\nwhile True:\n try: os.fork()\n except OSError: print('no more', flush=True); os._exit(0)"
    with pytest.raises(SandboxError, match="stopped: it ran longer than 1 s"):
        sandbox.run(["bash", "-c", f'python3 -c "{script}"; sleep 60'], timeout=1.0)
    assert sandbox.run(["echo", "fine"]).stdout == "fine\n"


def test_output(sandbox: Sandbox, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(SandboxError, match="stopped: it printed more than 256 MiB"):
        sandbox.run(["yes"], log=log)
    with pytest.raises(SandboxError, match="stopped: it printed more than 256 MiB"):
        sandbox.run(["yes"])


def test_silence(sandbox: Sandbox, tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5; do echo $i; sleep 0.6; done; sleep 60"
    with pytest.raises(SandboxError, match="stopped: it printed nothing for 2 s") as caught:
        sandbox.run(["bash", "-c", script], log=tmp_path / "log", silence=2.0)
    assert "5" in str(caught.value.detail)


def test_a_clock_that_jumps_stops_nothing(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour ahead, then a day back: a suspended laptop, a first answer of the time server."""
    jumps = iter([3600.0, -86400.0] * 100)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    done = sandbox.run(["bash", "-c", "echo start; sleep 3"], log=tmp_path / "log", silence=60.0, timeout=60.0)
    assert done.returncode == 0


def test_a_stopped_build_can_be_looked_at(checkout: Checkout) -> None:
    (checkout.root / "user.yaml").write_text("limits:\n  silent_minutes: 0.03\n")
    checkout.edit("mini-data", "%install\n", "%install\ntouch reached\nsleep 60\n")
    done = checkout.run("build", "mini-data", code=BuildError.exit_code)
    assert "mini-data does not build: stopped: it printed nothing for 2 s" in done.stderr
    assert "limits:" in done.stderr and "photonbuild shell mini-data" in done.stderr
    assert list((checkout.store / "failed" / "mini-data").rglob("reached"))
    assert checkout.leftovers() == []


def test_a_build_root_that_is_too_large_for_memory_goes_on_disk(checkout: Checkout) -> None:
    """256 MiB of random data with a limit of 160: it fails in memory, and is built on disk."""
    (checkout.root / "user.yaml").write_text("limits:\n  memory_gib: 0.16\n")
    (checkout.store / "timings.json").write_text('{"mini-data": {"cpu_seconds": 1, "scratch_bytes": 1, "peak_rss": 1}}')
    checkout.edit("mini-data", "%install\n", "%install\ndd if=/dev/urandom of=big bs=1M count=256\n")
    checkout.run("build", "mini-data")
    log = next((checkout.store / "packages" / "mini-data").glob("*/build.log")).read_text()
    assert "does not fit into memory: once more, on disk" in log


def test_a_root_on_disk_is_measured(sandbox: Sandbox, tmp_path: Path) -> None:
    for name in ("upper", "scratch"):
        (tmp_path / name).mkdir()
    disk = Sandbox(layers=sandbox.layers, scratch=tmp_path / "scratch", upper=tmp_path / "upper")
    argv = ["dd", "if=/dev/zero", "of=/file", "bs=1M", "count=20"]
    on_disk, in_memory = disk.run(argv).scratch_bytes, sandbox.run(argv).scratch_bytes
    assert 20 << 20 <= on_disk < 21 << 20
    assert 20 << 20 <= in_memory < 21 << 20
