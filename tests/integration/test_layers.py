"""Build roots of more trees than an overlay has layers: they are merged, and look as the overlay would."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.packages.buildroot import MOST_LAYERS, merge_trees
from photonbuild.sandbox.ids import first_id, give
from photonbuild.sandbox.sandbox import Sandbox
from photonbuild.store import Store

LISTING = "cd /trees && find . -printf '%p %y %m %U %G %l %T@\\n' | sort && find . -type f -exec md5sum {} + | sort"


@pytest.fixture
def seed(store: Store, machine_seed: Path) -> Path:
    return machine_seed


def make_trees(folder: Path, count: int) -> list[Path]:
    """Trees that share folders and have each some of the others' names, as files, folders and links."""
    trees = []
    for number in range(count):
        top = folder / f"{number:03}" / "trees"
        (top / "common" / f"own{number}").mkdir(parents=True)
        (top / "common").chmod(0o755 if number % 2 else 0o750)
        (top / "common" / f"file{number}").write_text(f"{number}")
        (top / "common" / f"file{number // 2}").unlink(missing_ok=True)
        (top / "common" / f"file{number // 2}").write_text(f"half of {number}")
        (top / f"link{number % 7}").symlink_to(f"common/own{number}")
        clash = top / f"clash{number % 5}"
        if number % 3:
            clash.mkdir()
            (clash / f"in{number}").write_text("x")
        else:
            clash.write_text(f"{number}")
        trees.append(top.parent)
    give(folder, first_id())  # as what a build has made
    return trees


@pytest.fixture
def own_store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def test_merged_trees_look_as_their_overlay(own_store: Store, seed: Path) -> None:
    trees = make_trees(own_store.root / "packages", 60)
    merged = merge_trees(own_store, trees, own_store.root / "tmp" / "merged" / "tree")

    def listing(layers: list[Path]) -> str:
        box = Sandbox(layers=[*layers, seed], scratch=own_store.scratch)
        return box.run(["bash", "-c", LISTING]).stdout

    assert listing([merged]) == listing(trees)


def test_a_build_root_of_600_trees(own_store: Store, seed: Path) -> None:
    trees = make_trees(own_store.root / "packages", 600)
    assert len(trees) >= MOST_LAYERS
    merged = merge_trees(own_store, trees, own_store.root / "tmp" / "merged" / "tree")
    box = Sandbox(layers=[merged, seed], scratch=own_store.scratch)
    assert len(box.run(["ls", "/trees/common"]).stdout.split()) > 1000
    # As many layers as an overlay takes need no merging; with one more the kernel refuses.
    most = [*trees[: MOST_LAYERS - 1], seed]
    assert Sandbox(layers=most, scratch=own_store.scratch).run(["true"]).returncode == 0


def test_a_second_merge_replaces_the_first(own_store: Store) -> None:
    trees = make_trees(own_store.root / "packages", 4)
    out = own_store.root / "tmp" / "merged" / "tree"
    merge_trees(own_store, trees, out)
    assert sorted(path.name for path in merge_trees(own_store, trees[:1], out).glob("trees/common/*")) == [
        "file0",
        "own0",
    ]
