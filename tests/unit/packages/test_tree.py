"""What of a foreign tree decides on each of its specs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from photonbuild.errors import SpecError
from photonbuild.packages.tree import LARGEST, survey


def digests(tree: Path) -> dict[str, str]:
    return {file.path: file.digest for file in survey(tree)}


def changed(tree: Path, before: dict[str, str]) -> set[str]:
    after = digests(tree)
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, text in {
        "SPECS/a/a.spec": "Name: a\n",
        "SPECS/a/license.txt": "License: MIT\n",
        "SPECS/k/one.spec": "Name: k\n",
        "SPECS/k/two.spec": "Name: k\n",
        "SPECS/up/up.spec": "%include ../a/license.txt\n",
        "common/macros": "%x 1\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_every_spec_is_found_at_any_depth_and_number(tree: Path) -> None:
    assert list(digests(tree)) == ["SPECS/a/a.spec", "SPECS/k/one.spec", "SPECS/k/two.spec", "SPECS/up/up.spec"]


def test_times_do_not_count(tree: Path) -> None:
    before = digests(tree)
    os.utime(tree / "SPECS/a/a.spec", (1, 1))
    assert changed(tree, before) == set()


@pytest.mark.parametrize(
    ("path", "again"),
    [
        ("SPECS/a/a.spec", {"SPECS/a/a.spec", "SPECS/up/up.spec"}),
        ("SPECS/a/license.txt", {"SPECS/a/a.spec", "SPECS/up/up.spec"}),
        ("SPECS/a/more.patch", {"SPECS/a/a.spec", "SPECS/up/up.spec"}),
        # One may include the other.
        ("SPECS/k/one.spec", {"SPECS/k/one.spec", "SPECS/k/two.spec", "SPECS/up/up.spec"}),
        ("SPECS/up/up.spec", {"SPECS/up/up.spec"}),
        ("common/macros", {"SPECS/a/a.spec", "SPECS/k/one.spec", "SPECS/k/two.spec", "SPECS/up/up.spec"}),
        (".git/index", set()),
    ],
)
def test_what_is_read_again(tree: Path, path: str, again: set[str]) -> None:
    before = digests(tree)
    (tree / path).parent.mkdir(exist_ok=True)
    (tree / path).write_text("%define x 2 ..\n" if path.endswith(".spec") else "2\n")
    assert changed(tree, before) == again


def test_nothing_but_regular_files_is_opened(tree: Path) -> None:
    os.mkfifo(tree / "SPECS/a/pipe.spec")
    (tree / "SPECS/a/zero.spec").symlink_to("/dev/zero")
    (tree / "SPECS/a/etc").symlink_to("/etc")
    with (tree / "SPECS/a/large.tar").open("wb") as handle:
        handle.truncate(LARGEST + 1)
    found = digests(tree)
    assert set(found) == {"SPECS/a/a.spec", "SPECS/k/one.spec", "SPECS/k/two.spec", "SPECS/up/up.spec"}
    # Where it leads, in the tree, is for the spec to say; it is read again when anything changes.
    (tree / "SPECS/k/one.spec").write_text("Name: other\n")
    assert "SPECS/a/a.spec" in changed(tree, found)


def test_a_tree_without_a_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no \.spec file"):
        survey(tmp_path)
    with pytest.raises(SpecError, match="cannot be read"):
        survey(tmp_path / "nowhere")
