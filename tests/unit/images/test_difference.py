"""What differs between two images, by their manifests."""

from __future__ import annotations

import json
from typing import Any

from photonbuild.images.difference import changed_packages, difference

KEYS = ("packages", "initramfs_packages")


def row(name: str, evr: str, size: int = 1_000_000, sha256: str = "") -> dict[str, Any]:
    return {"name": name, "nevra": f"{name}-{evr}.x86_64", "size": size, "sha256": sha256 or f"{name} {evr}"}


OLD = {
    "size": 10_000_000,
    "format": "raw",
    "configured": [],
    "facts": {"kernel": "1"},
    "platform": None,
    "packages": [row("same", "1-1"), row("up", "1:1.9-1"), row("down", "2-1"), row("gone", "1-1"), row("again", "1-1")],
}
NEW = {
    "size": 12_500_000,
    "format": "raw",
    "configured": ["/etc/a", "/etc/b"],
    "facts": {"kernel": "2"},
    "platform": "nocloud",
    "packages": [
        row("same", "1-1"),
        row("up", "1:1.10-1", 3_000_000),
        row("down", "1-1"),
        row("come-here", "1-1"),
        row("again", "1-1", sha256="other"),
    ],
}


def test_packages_and_sizes() -> None:
    assert difference(OLD, NEW, KEYS).lines() == [
        "size 10.0 MB -> 12.5 MB (+2.5 MB)",
        "platform none -> nocloud",
        "configured none -> /etc/a, /etc/b",
        "facts kernel 1 -> kernel 2",
        "packages (+2.0 MB installed)",
        "  + come-here 1-1 (1.0 MB)",
        "  - gone 1-1 (1.0 MB)",
        "  ! again 1-1, other bytes (+0.0 MB)",
        "  < down 2-1 -> 1-1 (+0.0 MB)",
        "  > up 1:1.9-1 -> 1:1.10-1 (+2.0 MB)",
    ]


def test_the_same_image_twice() -> None:
    assert difference(OLD, OLD, KEYS).lines() == ["size 10.0 MB -> 10.0 MB (+0.0 MB)"]
    assert changed_packages(OLD, OLD, KEYS) == (set(), set())


def test_files_of_the_packages_that_differ() -> None:
    gone, come = changed_packages(OLD, NEW, KEYS)
    assert gone == {"up 1:1.9-1", "down 2-1", "gone 1-1", "again 1-1"}
    assert come == {"up 1:1.10-1", "down 1-1", "come-here 1-1", "other"}
    before = {"/a": (5, "0100644", "x"), "/b": (5, "0100644", "x"), "/c": (5, "0100644", "x")}
    after = {"/b": (7, "0100644", "y"), "/c": (5, "0100644", "x"), "/d": (1, "0120777", "/a")}
    found = difference(OLD, NEW, KEYS, (before, after), ["lost-1-1"])
    assert found.lines()[-5:] == [
        "files of packages",
        "  + /d (1 bytes)",
        "  - /a (5 bytes)",
        "  ! /b (+2 bytes)",
        "of these packages the store has no files: lost-1-1",
    ]
    assert json.loads(json.dumps(found.data()))["files_changed"] == [{"path": "/b", "size": 2}]


def test_several_versions_of_one_package() -> None:
    old = {"size": 1, "packages": [row("kernel", "1-1"), row("kernel", "2-1")]}
    new = {"size": 1, "packages": [row("kernel", "2-1"), row("kernel", "3-1"), row("kernel", "4-1")]}
    (found, _) = difference(old, new, KEYS).sets
    assert [one.version for one in found.added] == ["3-1", "4-1"]
    assert [one.version for one in found.removed] == ["1-1"]
