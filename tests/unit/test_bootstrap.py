"""tools/run on machines that lack something: fakes on PATH, nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "tools" / "run"
BASIC = ("sh", "dirname", "cut", "sha256sum", "mkdir", "flock", "rm", "echo", "env")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with basic tools, the host packages' commands and this Python; no apt-get."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in BASIC:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    (folder / "python3").symlink_to(sys.executable)
    for name in ("mmdebstrap", "newuidmap", "ssh-keygen", "gpg", "gpg-agent"):
        fake(folder, name, "exit 0")
    fake(folder, "id", "echo 1000")
    return folder


def fake(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def start(programs: Path, store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": str(programs), "HOME": os.environ.get("HOME", "/"), "PHOTONBUILD_STORE": str(store)}
    return subprocess.run([RUN, *words], env=env, capture_output=True, text=True, check=False)


def test_a_user_gets_the_one_command(programs: Path, tmp_path: Path) -> None:
    (programs / "mmdebstrap").unlink()
    fake(programs, "apt-get", "exit 99")
    done = start(programs, tmp_path / "store", "true")
    assert done.returncode == 5
    assert "sudo apt-get update && sudo apt-get install -y --no-install-recommends" in done.stderr
    assert "mmdebstrap" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "store").exists()


def test_root_installs(programs: Path, tmp_path: Path) -> None:
    (programs / "mmdebstrap").unlink()
    fake(programs, "id", "echo 0")
    fake(programs, "apt-get", f'echo "$@" >> {tmp_path}/apt; exit 100')
    done = start(programs, tmp_path / "store", "true")
    assert done.returncode == 100
    assert (tmp_path / "apt").read_text() == "update -qq\n"


def test_no_apt(programs: Path, tmp_path: Path) -> None:
    (programs / "newuidmap").unlink()
    done = start(programs, tmp_path / "store", "true")
    assert (done.returncode, "no apt-get here" in done.stderr) == (5, True)


def test_an_old_python_is_refused(programs: Path, tmp_path: Path) -> None:
    (programs / "python3").unlink()
    fake(
        programs,
        "python3",
        'case $* in *version_info\\ \\<*) exit 1;; *ensurepip*) exit 0;; *) echo "Python 3.9";; esac',
    )
    done = start(programs, tmp_path / "store", "true")
    assert done.returncode == 5
    assert "Python 3.11 or later is needed, here is Python 3.9" in done.stderr
