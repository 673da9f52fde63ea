"""The command as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from photonbuild.events import EVENT, Error

ROOT = Path(__file__).resolve().parents[4]
SLOW = ("click", "pydantic", "yaml", "rich", "requests", "asyncio", "photonbuild.config.load")


def python(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PHOTONBUILD_STORE": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    return subprocess.run([sys.executable, *words], env=env, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", [["pico"], ["photonbuild", "pico"]])
def test_pico_and_its_alias(tmp_path: Path, command: list[str]) -> None:
    listed = python(tmp_path, "-m", *command, "ps", "--all")
    assert (listed.returncode, listed.stdout.split()[:2]) == (0, ["ID", "IMAGE"])
    assert (tmp_path / "pico/compiled").is_dir()
    missing = python(tmp_path, "-m", *command, "logs", "none")
    assert (missing.returncode, missing.stdout) == (125, "")
    assert missing.stderr == "error: there is no machine 'none'\n\nhint: pico ps --all\n"


def test_json(tmp_path: Path) -> None:
    """The answer is a document, and what goes wrong an event of photonbuild's schema."""
    assert json.loads(python(tmp_path, "-m", "pico", "ps", "--json").stdout) == []
    assert json.loads(python(tmp_path, "-m", "pico", "images", "--json").stdout) == []
    failed = python(tmp_path, "-m", "pico", "stop", "--json", "none", "neither")
    assert (failed.returncode, json.loads(failed.stdout)) == (125, [])
    errors = [EVENT.validate_json(line) for line in failed.stderr.splitlines()]
    assert [(each.event, each.message) for each in errors if isinstance(each, Error)] == [
        ("error", "there is no machine 'none'"),
        ("error", "there is no machine 'neither'"),
    ]


def test_a_start_imports_nothing_slow(tmp_path: Path) -> None:
    work = "import pico.containers.run, pico.containers.control, pico.containers.listing, pico.containers.gc"
    script = f"import sys, pico.cli.main\n{work}, pico.oci.resolve\nprint(*sys.modules)"
    done = python(tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr
    assert not set(SLOW) & set(done.stdout.split())
