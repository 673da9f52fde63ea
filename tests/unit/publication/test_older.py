"""Which older packages stay listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.publication.gc import Retention
from photonbuild.publication.index import ListedPackage
from photonbuild.publication.ledger import parse_ledger
from photonbuild.publication.older import still_listed
from photonbuild.publication.publish import publish
from photonbuild.storage.folder import Folder
from tests.support.publications import LAYOUT, make_unsigned_tree
from tests.support.tinyrpm import write_rpm

DAY = 86400


def listed(name: str, version: str, epoch: str = "0") -> ListedPackage:
    nevra = f"{name}-{'' if epoch == '0' else f'{epoch}:'}{version}-1.x86_64"
    path = f"Packages/0/{name}-{version}-1.x86_64.rpm"
    return ListedPackage(
        path=path, sha256="", size=1, name=name, arch="x86_64", evr=(epoch, version, "1"), nevra=nevra, source=""
    )


# `app` 1.0 to 1.10, one a day; `other` but once; `gone` is not built any more.
APPS = [listed("app", f"1.{number}") for number in range(1, 11)]
PUBLISHED = [*APPS, listed("other", "1"), listed("gone", "1")]
SINCE = {package.nevra: number * DAY for number, package in enumerate(APPS, 1)}
NEWEST = {"app.x86_64": "1.11-1", "other.x86_64": "1-1"}


@pytest.mark.parametrize(
    ("retention", "kept"),
    [
        (Retention(keep=1, age=None), []),
        (Retention(keep=3, age=None), [9, 10]),
        (Retention(keep=99, age=None), range(1, 11)),
        # 1.10 is superseded now, on the day 11; 1.9 was on the day 10, 1.8 on the day 9.
        (Retention(keep=None, age=DAY), [10]),
        (Retention(keep=None, age=2 * DAY), [9, 10]),
        (Retention(keep=2, age=3 * DAY), [8, 9, 10]),
        (Retention(keep=None, age=0), []),
    ],
)
def test_by_count_and_by_age(retention: Retention, kept: list[int]) -> None:
    found = still_listed(PUBLISHED, NEWEST, SINCE, retention, now=11 * DAY)
    assert sorted(package.version for package in found) == sorted(f"1.{number}-1" for number in kept)


def test_the_same_again_later_is_as_old_as_it_was() -> None:
    newest = {"app.x86_64": "1.10-1"}
    found = still_listed(APPS, newest, SINCE, Retention(keep=None, age=30 * DAY), now=39 * DAY)
    assert [package.version for package in found] == ["1.9-1"]


def test_what_is_newer_than_what_is_built_is_withdrawn() -> None:
    found = still_listed(APPS, {"app.x86_64": "1.5-1"}, SINCE, Retention(keep=2, age=None), now=11 * DAY)
    assert [package.version for package in found] == ["1.4-1"]


def test_an_epoch_counts() -> None:
    newest = {"app.x86_64": "1:0.1-1"}
    packages = [*APPS, listed("app", "0.0", "1")]
    found = still_listed(packages, newest, SINCE, Retention(keep=2, age=None), now=11 * DAY)
    assert [package.nevra for package in found] == ["app-1:0.0-1.x86_64"]


def test_when_a_package_was_first_published_is_remembered(tmp_path: Path) -> None:
    storage = Folder(tmp_path / "published")
    for number in (1, 2):
        (folder := tmp_path / str(number)).mkdir()
        files = [write_rpm(folder, "app", version=f"{number}.0"), write_rpm(folder, "stays")]
        done = publish(make_unsigned_tree(folder / "tree", files, revision=number), storage, now=number * DAY)
        assert done.unlisted == number - 1
    text = storage.read(f"{LAYOUT.repository('packages')}/publications.json")
    since = {"app-1.0-1.x86_64": DAY, "app-2.0-1.x86_64": 2 * DAY, "stays-1.0-1.x86_64": DAY}
    assert parse_ledger(text, "").since == since
    # One of before there was this.
    assert parse_ledger(b'{"content": {"a-1-1.noarch": "d"}, "publications": []}', "").since == {}
