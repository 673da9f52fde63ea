"""Control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pico.vm import cgroups
from pico.vm.qemu import Hardware


def test_groups_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    for name in ("old", "young", "used"):
        (tmp_path / "memory" / cgroups.NAME / name).mkdir(parents=True)
    (tmp_path / "memory" / cgroups.NAME / "used" / "tasks").touch()
    for name in ("old", "used"):
        os.utime(tmp_path / "memory" / cgroups.NAME / name, (1, 1))
    assert cgroups.sweep(30) == ["old"]
    assert sorted(path.name for path in (tmp_path / "memory" / cgroups.NAME).iterdir()) == ["used", "young"]


HARDWARE = Hardware(memory=64, cpus=3, volumes=0, accel="tcg", machine="microvm", cpu="qemu64", append="")


def version2(root: Path, *, enabled: str = "cpu memory pids") -> None:
    for folder in (root, root / cgroups.NAME):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.subtree_control").write_text(f"{enabled}\n")


def test_limits_leave_room_for_all_threads_of_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    version2(tmp_path)
    (group,) = cgroups.create("one", HARDWARE, 0.5)
    assert int((group / "pids.max").read_text()) >= 64 + HARDWARE.cpus + 9
    assert (group / "memory.max").read_text() == str((64 + 256) << 20)
    assert (group / "cpu.max").read_text() == "50000 100000"
    assert cgroups.of("one") == [group]
    assert cgroups.problem() is None


def test_limits_that_are_refused_are_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: the folder may be written, but controllers cannot be given to children."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    version2(tmp_path, enabled="")
    control = tmp_path / "cgroup.subtree_control"
    control.unlink()
    control.mkdir()
    assert cgroups.create("one", HARDWARE, None) == []
    assert "cgroup.subtree_control" in str(cgroups.problem())


def test_a_copy_goes_where_its_caller_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    (tmp_path / "session-2").mkdir()
    procs = tmp_path / "session-2" / "cgroup.procs"
    groups = {
        "self": {"": tmp_path / "session-2"},
        "5": {"": tmp_path / "session-1"},
        "6": {"": tmp_path / "session-2"},
    }
    monkeypatch.setattr(cgroups, "_membership", groups.get)
    assert cgroups.own(5) is None, "it may not be written"
    procs.touch()
    assert cgroups.own(5) == [tmp_path / "session-2"]
    assert cgroups.own(6) == []
