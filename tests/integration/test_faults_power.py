"""A loss of power at any moment: what has a name in the store afterwards is whole, or it is found out.

Every name that appears is recorded together with the files that nothing had brought to the disk by then
(`tests.support.faulty`). After a loss of power at that moment those are taken to be empty, and all names to be there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from photonbuild.files import sha256_of
from tests.support.faults import IMAGE, FaultLab

# What may be cut off: it is known by its seal, and made again without a word.
SEALED = ("specs/", "timings.json", "macros/")
Log = Sequence[dict[str, Any]]


def recorded(lab: FaultLab, **faults: Any) -> tuple[Log, dict[str, str]]:
    log = lab.root / "log"
    results = lab.results("image", IMAGE, power=str(log), **faults)
    return [json.loads(line) for line in log.read_text().splitlines()], results


def crash(lab: FaultLab, log: Log, other: Path) -> FaultLab:
    """A store as a loss of power leaves it after the names of `log` have appeared, with work in progress in it."""
    crashed = FaultLab(root=lab.root, store=other)
    crashed.store.mkdir()
    (crashed.store / "seeds").symlink_to((lab.store / "seeds").readlink())
    for line in log:
        source, target = lab.store / line["name"], crashed.store / line["name"]
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        for name in line["lost"]:
            os.truncate(target / name if name != "." else target, 0)
    work = crashed.store / "tmp" / "work-0123456789ab"
    (work / "out").mkdir(parents=True)
    # Another start of the machine.
    for path in crashed.store.rglob("contents.boot"):
        path.unlink()
    return crashed


def test_what_appears_is_on_the_disk(lab: FaultLab) -> None:
    log, _ = recorded(lab)
    names = [line["name"] for line in log]
    assert sum(name.startswith("packages/") for name in names) == 2
    assert sum(name.startswith("images/") for name in names) == 1
    assert all(line["files"] for line in log)
    assert [line for line in log if line["lost"] and not line["name"].startswith(SEALED)] == []


@pytest.mark.parametrize("unsynced", [False, True])
def test_after_a_loss_of_power_the_same_command_gives_the_same(lab: FaultLab, tmp_path: Path, unsynced: bool) -> None:
    """Also on a disk that promises and does not keep, or where nothing was brought to it: then damage is found."""
    log, wanted = recorded(lab, unsynced=unsynced)
    shutil.rmtree(lab.root / "stage")
    large = [line for line in log if line["name"].startswith(("packages/", "images/"))]
    assert all(bool(line["lost"]) == unsynced for line in large)
    for count in (1, len(log) // 2, len(log)):
        crashed = crash(lab, log[:count], tmp_path / f"crashed-{count}")
        again = crashed.run("image", IMAGE)
        (path,) = again.paths
        assert {path.name: sha256_of(path)} == wanted
        damaged = [line["name"] for line in log[:count] if line["lost"] and line in large]
        assert len([text for text in again.warnings() if "is damaged" in text]) == len(damaged)
        assert crashed.left() == []
