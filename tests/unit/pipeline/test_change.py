"""A change of the checkout is made as a whole, whenever its process is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from photonbuild.errors import ConfigError
from photonbuild.files import locked
from photonbuild.pipeline.change import JOURNAL, LOCK, Proposal, finish

ROOT = Path(__file__).parents[3]
OLD = {"specs/a/a.spec": "Version: 1\n", "specs/a/sources.yaml": "one\n", "build/rebuilds.yaml": "rebuilds: {a: 1}\n"}
NEW = {"specs/a/a.spec": "Version: 2\n", "specs/a/sources.yaml": "two\n", "specs/a/changelog": "* new\n"}
CHANGE: Mapping[str, str | None] = {**NEW, "build/rebuilds.yaml": None}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make(tmp_path / "checkout")


def make(root: Path) -> Path:
    for name, text in OLD.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def content(root: Path) -> dict[str, str]:
    """All that is there, but for what git is told to ignore."""
    found = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    return {name: text for name, text in found.items() if not name.startswith(".photonbuild-change")}


def run(root: Path, number: int) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tests.support.killed_change", str(root), str(number)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, input=json.dumps(CHANGE), capture_output=True, text=True, env=env, check=False)


def test_killed_at_every_call_it_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    calls = int(run(make(tmp_path / "whole"), 0).stdout)
    assert content(tmp_path / "whole") == NEW and calls > 20
    ended = []
    for number in range(1, calls + 1):
        root = make(tmp_path / str(number))
        assert run(root, number).returncode == -signal.SIGKILL
        finish(root)
        assert content(root) in (OLD, NEW), number
        ended.append(content(root) == NEW)
        assert finish(root) is False and not (root / JOURNAL).exists()
        assert run(root, 0).returncode == 0 and content(root) == NEW
    # First all are the old one, then all the new one.
    assert ended == sorted(ended) and set(ended) == {False, True}


def test_the_difference_is_one_that_git_applies(checkout: Path, tmp_path: Path) -> None:
    proposal = Proposal(root=checkout, files={checkout / name: text for name, text in CHANGE.items()})
    text, other = proposal.diff(), make(tmp_path / "other")
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    subprocess.run(["git", "-C", str(other), "apply"], input=text.encode(), check=True)
    proposal.write()
    assert {name: text for name, text in content(other).items() if not name.startswith(".git/")} == content(checkout)


def test_what_is_as_it_shall_be_is_not_touched(checkout: Path) -> None:
    before = {name: (checkout / name).stat().st_mtime_ns for name in OLD}
    Proposal(root=checkout, files={checkout / name: text for name, text in OLD.items()}).write()
    assert {name: (checkout / name).stat().st_mtime_ns for name in OLD} == before
    assert not (checkout / JOURNAL).exists() and not (checkout / LOCK).exists()


def test_two_at_once(checkout: Path) -> None:
    with locked(checkout / LOCK), pytest.raises(ConfigError, match="another command changes this checkout"):
        Proposal(root=checkout, files={checkout / "specs/a/a.spec": "x"}).write()
    assert content(checkout) == OLD


def test_a_damaged_record_is_not_followed(checkout: Path) -> None:
    (checkout / JOURNAL).write_text('{"files": {')
    with pytest.raises(ConfigError) as caught:
        finish(checkout)
    assert caught.value.hint == "look at git diff, then remove this file" and content(checkout) == OLD
