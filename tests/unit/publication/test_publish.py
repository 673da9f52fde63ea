"""Publishing to a folder: what is sent, what is refused, what clients find meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from photonbuild.errors import ConfigError, SolveError, StoreError
from photonbuild.publication.layout import check_snapshot, kind_of
from photonbuild.publication.ledger import parse_ledger
from photonbuild.publication.publish import publish
from photonbuild.publication.repository import need_repository
from photonbuild.publication.tree import Tree
from photonbuild.storage.folder import Folder
from tests.support.publications import LAYOUT, make_unsigned_tree, missing
from tests.support.tinyrpm import write_rpm

PACKAGES = LAYOUT.repository("packages")


def tree(folder: Path, *names: str, revision: int = 1, requires: str = "one") -> Tree:
    """A tree of packages NAME or NAME=VERSION; `requires` is part of their content."""
    folder.mkdir()
    rpms = []
    for text in names:
        name, _, version = text.partition("=")
        rpms.append(write_rpm(folder, name, version=version or "1.0", requires=[requires]))
    return make_unsigned_tree(folder / "tree", rpms, revision=revision)


@pytest.fixture
def storage(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "published")


def nevras(storage: Folder, folder: str = PACKAGES) -> list[str]:
    return [package.nevra for package in need_repository(storage, folder).packages]


def test_the_kinds_are_apart() -> None:
    names = {
        "a-1-1.x86_64.rpm": "packages",
        "a-debuginfo-1-1.x86_64.rpm": "debuginfo",
        "a-libs-debugsource-1-1.x86_64.rpm": "debuginfo",
        "a-1-1.src.rpm": "sources",
        "debuginfo-tool-1-1.noarch.rpm": "packages",
    }
    assert {name: kind_of(Path(name)) for name in names} == names


def test_publish_and_publish_again(tmp_path: Path, storage: Folder) -> None:
    first = tree(tmp_path / "first", "app", "app-debuginfo")
    done = publish(first, storage, now=100)
    assert (done.sent, done.there, done.changed) == (11, 0, tuple(LAYOUT.repositories().values()))
    assert missing(storage, tmp_path) == [] and nevras(storage) == ["app-1.0-1.x86_64"]
    again = publish(first, storage, now=200)
    assert (again.sent, again.there, again.changed) == (0, 11, ())


def test_old_metadata_and_packages_stay(tmp_path: Path, storage: Folder) -> None:
    publish(tree(tmp_path / "first", "app"), storage, now=100)
    old = need_repository(storage, PACKAGES)
    publish(tree(tmp_path / "second", "app=2.0", revision=2), storage, now=200)
    assert nevras(storage) == ["app-2.0-1.x86_64"] and missing(storage, tmp_path) == []
    assert all(storage.digests([path]) == {path: item.sha256} for path, item in old.files.items())
    ledger = parse_ledger(storage.read(f"{PACKAGES}/publications.json"), "")
    assert [entry.time for entry in ledger.publications] == [100, 200] and len(ledger.content) == 2


def test_every_index_has_a_signature_of_its_own(tmp_path: Path, storage: Folder) -> None:
    """A client that read the index before it changed, and the signature after, finds the one that belongs to it."""
    publish(tree(tmp_path / "first", "app"), storage)
    old = need_repository(storage, PACKAGES)
    publish(tree(tmp_path / "second", "app=2.0", revision=2), storage)
    new = need_repository(storage, PACKAGES)
    assert old.named_signature != new.named_signature
    for each in (old, new):
        assert each.signature and storage.read(f"{PACKAGES}/{each.named_signature}") == each.signature


class Cut(Folder):
    """Storage as S3 is, of one object at a time, whose publisher is gone after so many of those of an index."""

    left = 0

    def replace(self, files: Mapping[str, bytes]) -> None:
        for path, data in files.items():
            if not self.left:
                raise KeyboardInterrupt
            Cut.left -= 1
            self.write(path, data)


@pytest.mark.parametrize("moment", range(1, 9))
def test_cut_anywhere_the_index_has_a_signature(
    tmp_path: Path, storage: Folder, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tree(tmp_path / "first", "app"), storage)
    second = tree(tmp_path / "second", "app=2.0", revision=2)
    monkeypatch.setattr(Cut, "left", moment)
    with pytest.raises(KeyboardInterrupt):
        publish(second, Cut(storage.root))
    assert missing(storage, tmp_path) == []
    publish(second, storage)
    assert missing(storage, tmp_path) == [] and nevras(storage) == ["app-2.0-1.x86_64"]


def test_a_number_with_other_content_is_refused(tmp_path: Path, storage: Folder) -> None:
    publish(tree(tmp_path / "first", "app", "other"), storage)
    before = storage.sizes("")
    with pytest.raises(SolveError) as caught:
        publish(tree(tmp_path / "second", "app", "new", revision=2, requires="two"), storage)
    assert caught.value.hint == "photonbuild bump --rebuild app"
    assert caught.value.detail == "app-1.0-1.x86_64" and "other content" in caught.value.message
    assert storage.sizes("") == before
    # Also when it was published long ago, and is not listed any more.
    publish(tree(tmp_path / "third", "app=2.0", revision=3), storage)
    with pytest.raises(SolveError, match="other content"):
        publish(tree(tmp_path / "fourth", "app", revision=4, requires="two"), storage)


def test_what_is_older_is_refused(tmp_path: Path, storage: Folder) -> None:
    publish(tree(tmp_path / "first", "app", revision=5), storage)
    for number, revision in enumerate((4, 5)):
        with pytest.raises(SolveError, match="clients would refuse it"):
            publish(tree(tmp_path / f"older-{number}", "new", revision=revision), storage)


def test_a_snapshot_never_changes(tmp_path: Path, storage: Folder) -> None:
    first = tree(tmp_path / "first", "app")
    publish(first, storage, snapshot="one")
    publish(first, storage, snapshot="one")
    second = tree(tmp_path / "second", "app=2.0", revision=2)
    with pytest.raises(SolveError, match="is another one"):
        publish(second, storage, snapshot="one")
    assert nevras(storage) == ["app-1.0-1.x86_64"]
    publish(second, storage, snapshot="two")
    for name, version in (("one", "1.0"), ("two", "2.0")):
        assert nevras(storage, LAYOUT.repository("packages", name)) == [f"app-{version}-1.x86_64"]
        assert missing(storage, tmp_path, name) == []


@pytest.mark.parametrize("name", ["packages", "..", "a/b", "", ".x", "sources"])
def test_no_name_of_a_snapshot(name: str) -> None:
    with pytest.raises(ConfigError):
        check_snapshot(name)


def test_one_publisher_at_a_time(tmp_path: Path, storage: Folder) -> None:
    with storage.lock(), pytest.raises(StoreError, match="another publisher"):
        publish(tree(tmp_path / "first", "app"), storage)


def test_what_is_cut_off_or_altered_is_sent_again(tmp_path: Path, storage: Folder) -> None:
    first = tree(tmp_path / "first", "app", "other")
    publish(first, storage)
    one, two = (f"{PACKAGES}/{package.path}" for package in need_repository(storage, PACKAGES).packages)
    (storage.root / one).write_bytes(b"cut")
    data = (storage.root / two).read_bytes()
    (storage.root / two).write_bytes(data[:-1] + b"x")
    assert missing(storage, tmp_path) == [one, two]
    assert publish(first, storage).sent == 2 and missing(storage, tmp_path) == []


def test_a_broken_record_is_no_empty_one(tmp_path: Path, storage: Folder) -> None:
    first = tree(tmp_path / "first", "app")
    publish(first, storage)
    storage.write(f"{PACKAGES}/publications.json", b"{")
    with pytest.raises(StoreError, match="no record of publications"):
        publish(first, storage)
