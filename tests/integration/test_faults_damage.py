"""Entries of the store that were cut off or altered: found, made again, and never used."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faults import IMAGE, FaultLab

CONTENT = b"content of a source\n" * 100


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def gone(path: Path) -> None:
    path.unlink()


# Paths in the store, and the start of what is said of them.
ENTRIES = {
    "packages/mini-data/*/rpms/*.rpm": "packages/mini-data/",
    "packages/mini-data/*/srpms/*.rpm": "packages/mini-data/",
    "packages/mini-data/*/trees/mini-data/usr/share/mini/answer.txt": "packages/mini-data/",
    "packages/mini-data/*/build.json": "packages/mini-data/",
    "images/tiny/*/*.oci.tar": "images/tiny/",
    "images/tiny/*/*.manifest.json": "images/tiny/",
    "images/tiny/*/result.json": "images/tiny/",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture
def built(lab: FaultLab, whole: Path) -> tuple[FaultLab, dict[str, str]]:
    """A store with everything in it, and what the image is."""
    if (whole / "store").exists():
        shutil.rmtree(lab.store)
        shutil.copytree(whole / "store", lab.store, symlinks=True)
        digests = lab.results("image", IMAGE)
    else:
        digests = lab.results("image", IMAGE)
        shutil.copytree(lab.store, whole / "store", symlinks=True)
    return lab, digests


@pytest.mark.parametrize(
    ("entry", "damage"),
    [
        *((entry, damage) for entry in ENTRIES for damage in (cut, flip)),
        *((entry, damage) for entry in list(ENTRIES)[3:5] for damage in (empty, gone)),
    ],
)
def test_what_is_damaged_is_made_again(
    built: tuple[FaultLab, dict[str, str]], entry: str, damage: Callable[[Path], None]
) -> None:
    lab, digests = built
    (path,) = lab.store.glob(entry)
    damage(path)
    shutil.rmtree(lab.root / "stage")
    again = lab.run("image", IMAGE)
    assert {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in again.paths} == digests
    assert [text for text in again.warnings() if text.startswith(ENTRIES[entry])], again.stderr
    assert lab.left() == []


@pytest.mark.parametrize("damage", [cut, empty, flip])
def test_records_that_are_damaged_are_no_traceback(
    built: tuple[FaultLab, dict[str, str]], damage: Callable[[Path], None]
) -> None:
    lab, digests = built
    for pattern in ("specs/*.json", "timings.json", "macros/*/*", "packages/*/*/inputs.json", "images/*/*/inputs.json"):
        for path in lab.store.glob(pattern):
            damage(path)
    for words in (("plan",), ("why", "mini-data"), ("why", IMAGE)):
        lab.run(*words).errors()
    assert lab.results("image", IMAGE) == digests


@pytest.mark.parametrize("damage", [flip, gone])
@pytest.mark.parametrize("pattern", ["repo/repodata/*primary*", "repo/Packages/*", "repo/.made.json", "images/*.tar"])
def test_what_is_damaged_in_the_stage_is_put_there_again(
    built: tuple[FaultLab, dict[str, str]], pattern: str, damage: Callable[[Path], None]
) -> None:
    lab, digests = built
    for path in (lab.root / "stage").glob(pattern):
        assert path.stat().st_nlink == 1
        damage(path)
    assert lab.results("image", IMAGE) == digests
    assert lab.left() == []


@pytest.mark.parametrize("damage", [cut, empty, flip])
def test_a_damaged_source_is_fetched_again(lab: FaultLab, damage: Callable[[Path], None]) -> None:
    digest = hashlib.sha512(CONTENT).hexdigest()
    (lab.root / "specs" / "mini-data" / "there.txt").write_bytes(CONTENT)
    (lab.root / "specs" / "mini-data" / "sources.yaml").write_text(
        f"sources:\n  - file: big\n    sha512: {digest}\n    providers:\n      - {{type: local, path: there.txt}}\n"
    )
    wanted = lab.results("build", "mini-data")
    damage(lab.store / "sources" / digest)
    shutil.rmtree(lab.store / "packages")
    again = lab.run("build", "mini-data")
    assert again.warnings() == ["big in the store is damaged; it is fetched again"]
    assert (lab.store / "sources" / digest).read_bytes() == CONTENT
    assert lab.results("build", "mini-data") == wanted
    damage(lab.store / "sources" / digest)
    shutil.rmtree(lab.store / "packages")
    refused = lab.run("build", "mini-data", "--offline", code=4)
    assert "is not in the store" in refused.errors()[0]["message"]


def test_a_shell_cannot_change_the_sources_of_the_store(lab: FaultLab) -> None:
    digest = hashlib.sha512(CONTENT).hexdigest()
    (lab.root / "specs" / "mini-data" / "there.txt").write_bytes(CONTENT)
    (lab.root / "specs" / "mini-data" / "sources.yaml").write_text(
        f"sources:\n  - file: big\n    sha512: {digest}\n    providers:\n      - {{type: local, path: there.txt}}\n"
    )
    process = lab.start("shell", "mini-data")
    stdout, stderr = process.communicate("echo changed > SOURCES/big; cat SOURCES/big\n", timeout=120)
    assert "changed" in stdout, stderr
    assert (lab.store / "sources" / digest).read_bytes() == CONTENT


def test_a_leak_keeps_its_packages_and_a_success_removes_them(lab: FaultLab) -> None:
    spec = lab.root / "specs" / "mini" / "mini.spec"
    text = spec.read_text()
    spec.write_text(text.replace("-lmini\n", "-lmini -Wl,--no-as-needed -l:libzstd.so.1\n"))
    failed = lab.run("build", "mini", code=6)
    assert "photonbuild shell mini" in failed.errors()[0]["hint"]
    kept = lab.store / "failed" / "mini" / "build" / "out"
    assert [path.name for path in kept.glob("rpms/mini-1*")] == ["mini-1.0-1.phos1.x86_64.rpm"]
    spec.write_text(text)
    lab.run("build", "mini")
    assert lab.left() == []
