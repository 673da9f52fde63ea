"""Retention by count and age, and the difference of two publications."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.publication.diff import Change, difference
from photonbuild.publication.gc import Collected, Retention, collect
from photonbuild.publication.layout import INDEX
from photonbuild.publication.publish import publish
from photonbuild.publication.repository import need_repository
from photonbuild.publication.tree import Tree
from photonbuild.storage.folder import Folder
from tests.support.publications import LAYOUT, make_unsigned_tree, missing
from tests.support.tinyrpm import write_rpm

PACKAGES = LAYOUT.repository("packages")
DAY = 86400


def tree(folder: Path, number: int, *names: str) -> Tree:
    """The state of the day `number`: `app` in a new version, `stays` as it is, and `names`."""
    folder.mkdir()
    files = [write_rpm(folder, "app", version=f"{number}.0"), write_rpm(folder, "stays")]
    files += [write_rpm(folder, name) for name in names]
    return make_unsigned_tree(folder / "tree", files, revision=number * DAY)


@pytest.fixture
def storage(tmp_path: Path) -> Folder:
    """States of the days 1 to 4, each with a snapshot."""
    storage = Folder(tmp_path / "published")
    for number in range(1, 5):
        publish(tree(tmp_path / str(number), number), storage, snapshot=f"day-{number}", now=number * DAY)
    return storage


def run_gc(storage: Folder, *, keep: int | None = None, days: int | None = None, dry_run: bool = False) -> Collected:
    retention = Retention(keep=keep, age=days * DAY if days is not None else None)
    return collect(storage, LAYOUT, retention, now=5 * DAY, dry_run=dry_run)


def versions(storage: Folder) -> list[str]:
    return sorted(Path(path).name for path in storage.sizes(f"{PACKAGES}/Packages"))


def apps(*numbers: int) -> list[str]:
    return [*(f"app-{number}.0-1.x86_64.rpm" for number in numbers), "stays-1.0-1.x86_64.rpm"]


def test_by_count(tmp_path: Path, storage: Folder) -> None:
    before = storage.sizes("")
    foretold = run_gc(storage, keep=2, dry_run=True)
    assert storage.sizes("") == before
    done = run_gc(storage, keep=2)
    assert done == foretold and done.snapshots == ("day-1", "day-2")
    assert done.bytes == sum(before[path] for path in done.files)
    assert storage.sizes("").keys() == before.keys() - set(done.files)
    assert versions(storage) == apps(3, 4)
    assert (
        missing(storage, tmp_path) == missing(storage, tmp_path, "day-3") == missing(storage, tmp_path, "day-4") == []
    )
    assert run_gc(storage, keep=2).files == ()
    # A signature of its own for each index that stays.
    assert len([path for path in storage.sizes(PACKAGES) if path.endswith("-repomd.xml.asc")]) == 2


def test_by_age(tmp_path: Path, storage: Folder) -> None:
    # Superseded on the day 3, two days ago; the snapshot of that day is two days old.
    assert run_gc(storage, days=2).snapshots == ("day-1", "day-2", "day-3")
    assert versions(storage) == apps(3, 4) and missing(storage, tmp_path) == []


def test_with_both_stays_what_either_keeps(storage: Folder) -> None:
    assert run_gc(storage, keep=1, days=3).snapshots == ("day-1", "day-2")
    assert versions(storage) == apps(2, 3, 4) or versions(storage) == apps(3, 4)


def test_what_is_read_now_always_stays(tmp_path: Path, storage: Folder) -> None:
    run_gc(storage, days=0)
    assert versions(storage) == apps(4) and missing(storage, tmp_path) == []


def test_leftovers_of_a_killed_publisher_go(tmp_path: Path, storage: Folder) -> None:
    storage.write(f"{PACKAGES}/Packages/0/.new-1.0-1.x86_64.rpm.new", b"half")
    storage.write(f"1.0/never-finished/packages/x86_64/{INDEX}.part", b"half")
    done = run_gc(storage, keep=9)
    assert [Path(path).name for path in done.files] == ["repomd.xml.part", ".new-1.0-1.x86_64.rpm.new"]
    assert missing(storage, tmp_path, "day-1") == []


def test_a_number_is_remembered_when_its_package_is_gone(tmp_path: Path, storage: Folder) -> None:
    run_gc(storage, keep=1)
    (tmp_path / "again").mkdir()
    files = [write_rpm(tmp_path / "again", "app", version="1.0", requires=["other"])]
    with pytest.raises(Exception, match="other content"):
        publish(make_unsigned_tree(tmp_path / "again/tree", files, revision=9 * DAY), storage)


def test_difference(tmp_path: Path) -> None:
    old, new = (Folder(tree(tmp_path / f"d{number}", number, name).folder) for number, name in ((9, "out"), (10, "in")))
    sides = [need_repository(source, PACKAGES) for source in (old, new)]
    found = difference(sides[0], sides[1], (["A-2026-1"], ["A-2026-1", "A-2026-2"]))
    assert (found.added, found.removed) == (("in-1.0-1.x86_64",), ("out-1.0-1.x86_64",))
    assert found.changed == (Change(package="app.x86_64", old="9.0-1", new="10.0-1"),) and found.changed[0].is_upgrade
    assert found.lines()[2:] == ["> app.x86_64 9.0-1 -> 10.0-1", "advisory A-2026-2"]
    assert difference(sides[1], sides[0]).lines()[2] == "< app.x86_64 10.0-1 -> 9.0-1"
    assert not difference(sides[0], sides[0])


def test_other_bytes_under_the_same_number_are_named(tmp_path: Path) -> None:
    sides = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files = [write_rpm(tmp_path / name, "app", requires=[name])]
        source = Folder(make_unsigned_tree(tmp_path / name / "tree", files, revision=1).folder)
        sides.append(need_repository(source, PACKAGES))
    assert difference(sides[0], sides[1]).lines() == ["! app-1.0-1.x86_64: the same number, other bytes"]
