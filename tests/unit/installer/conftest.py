"""A fake machine for tests of the installer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.installer import FakeMachine, fake_machine


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """Its tools are the only ones on PATH, and whoever runs the test is root."""
    made = fake_machine(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return made
