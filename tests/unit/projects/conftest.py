"""A small distribution, and git without the caller's settings."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from photonbuild.store import Store

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real configuration with one spec; no user's file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    root = tmp_path / "phos"
    shutil.copytree(ROOT / "build", root / "build")
    (root / "specs/bash").mkdir(parents=True)
    (root / "specs/bash/bash.spec").write_text("Name: bash\n")
    return root


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def git(below: Path) -> Callable[..., str]:
    """git(1) in the distribution, which is a repository then."""

    def run(*words: str) -> str:
        settings = ("-c", "user.name=A", "-c", "user.email=a@example", "-c", "init.defaultBranch=main")
        return subprocess.run(
            ["git", *settings, *words], cwd=below, check=True, capture_output=True, text=True
        ).stdout.strip()

    run("init", "-q")
    run("add", "-A")
    run("commit", "-qm", "one")
    return run
