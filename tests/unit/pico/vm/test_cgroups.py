"""Control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pico.vm import cgroups


def test_groups_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    for name in ("old", "young", "used"):
        (tmp_path / "memory" / cgroups.NAME / name).mkdir(parents=True)
    (tmp_path / "memory" / cgroups.NAME / "used" / "tasks").touch()
    for name in ("old", "used"):
        os.utime(tmp_path / "memory" / cgroups.NAME / name, (1, 1))
    assert cgroups.sweep(30) == ["old"]
    assert sorted(path.name for path in (tmp_path / "memory" / cgroups.NAME).iterdir()) == ["used", "young"]
