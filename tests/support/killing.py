"""Publishers that are killed at moments of which a seed decides, and what must hold after each."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from photonbuild.storage.interface import Storage
from tests.support.publications import make_unsigned_tree, missing, seen
from tests.support.tinyrpm import write_rpm

ROOT = Path(__file__).parents[2]
OLD, NEW = "app-1.0-1.x86_64", "app-2.0-1.x86_64"


def publisher(tree: Path, target: str, number: int, snapshot: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tests.support.killed_publisher", str(tree), target, str(number), snapshot]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, capture_output=True, text=True, env=env, check=False, timeout=120)


def trees(folder: Path) -> tuple[Path, Path]:
    """An old and a new publication, of five packages each."""
    made = []
    for number, version in ((1, "1.0"), (2, "2.0")):
        rpms = folder / version
        rpms.mkdir(parents=True)
        names = ("app", "app-debuginfo", *(f"more-{letter}" for letter in "abc"))
        files = [write_rpm(rpms, name, version=version) for name in names]
        make_unsigned_tree(rpms / "tree", files, revision=number)
        made.append(rpms / "tree")
    return made[0], made[1]


def kill_publishers(fresh: Callable[[], tuple[str, Storage]], work: Path, *, kills: int, seed: int) -> None:
    """Each time in a `fresh` place: the new publication over the old one, killed at a moment, then told again."""
    old, new = trees(work)
    target, storage = fresh()
    assert publisher(old, target, 0, "first").returncode == 0
    done = publisher(new, target, 0, "second")
    assert done.returncode == 0, done.stderr
    chance, calls = random.Random(seed), int(done.stdout)
    for _ in range(kills):
        moment = chance.randint(1, calls)
        target, storage = fresh()
        assert publisher(old, target, 0, "first").returncode == 0
        killed = publisher(new, target, moment, "second")
        # Threads take turns: the last moments may not be reached.
        assert killed.returncode in (-signal.SIGKILL, 0), killed.stderr
        assert seen(storage, work) in ([OLD, *_more("1.0")], [NEW, *_more("2.0")]), moment
        again = publisher(new, target, 0, "second")
        assert again.returncode == 0, f"moment {moment}: {again.stderr}"
        assert seen(storage, work) == [NEW, *_more("2.0")], moment
        assert missing(storage, work, "first") == missing(storage, work, "second") == [], moment


def _more(version: str) -> list[str]:
    return [f"more-{letter}-{version}-1.x86_64" for letter in "abc"]
