"""Images that cannot be made: one clear error, the exit code of its family, and nothing new in stage/ or the store."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.store import Store

pytestmark = pytest.mark.matrix


@pytest.fixture(autouse=True)
def restored(checkout: Path, tmp_path: Path) -> Iterator[None]:
    """The checkout is shared: what a test does to its build/ is undone."""
    shutil.copytree(checkout / "build", tmp_path / "build")
    yield
    shutil.rmtree(checkout / "build")
    shutil.copytree(tmp_path / "build", checkout / "build")


def image(checkout: Path, *words: str, code: int) -> str:
    """What `photonbuild image WORD…` says; it must fail with this code and leave stage/images as it was."""
    before = listing(checkout)
    done = attempt(checkout, *words)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stderr[-3000:]}"
    assert listing(checkout) == before
    assert done.stdout == ""
    return done.stderr


def attempt(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "photonbuild", "image", *words, "--root", str(checkout)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "200"},
    )  # fmt: skip


def listing(checkout: Path) -> list[str]:
    staged = checkout / "stage" / "images"
    return sorted(str(path) for path in staged.iterdir()) if staged.exists() else []


def setting(checkout: Path, name: str, old: str, new: str) -> None:
    path = checkout / "build" / "images" / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_disk_is_too_small(checkout: Path) -> None:
    setting(checkout, "raw", "size: 2 GiB", "size: 200 MiB")
    said = image(checkout, "raw", code=8)
    assert "'root' needs" in said and "MiB and has 165 MiB" in said
    assert "hint: make disk.size at least" in said


def test_the_root_beside_var_is_too_small(checkout: Path) -> None:
    setting(checkout, "raw", "size: 2 GiB", "size: 2 GiB\n  var: true\n  root_size: 100 MiB")
    said = image(checkout, "raw", code=8)
    assert "'root' needs" in said and "MiB and has 100 MiB" in said
    assert "hint: make disk.root_size at least" in said


def test_unknown_file_system(checkout: Path) -> None:
    setting(checkout, "raw", "size: 2 GiB", "size: 2 GiB\n  filesystem: zfs")
    said = image(checkout, "raw", code=2)
    assert "build/images/raw.yaml:" in said
    assert "key 'disk.filesystem': unknown value 'zfs'" in said and "ext4, xfs" in said


def test_missing_package_in_the_profile(checkout: Path) -> None:
    path = checkout / "build" / "profiles" / "default.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "  - dokcer-engine\n", encoding="utf-8")
    said = image(checkout, "raw", code=2)
    assert "build/profiles/default.yaml: no spec makes the package 'dokcer-engine'" in said
    assert "did you mean 'docker-engine'" in said


def test_a_damaged_package(store: Store, checkout: Path, tmp_path: Path) -> None:
    """In a store that has the same entries, but a package of its own: it is made again, and nothing differs."""
    own = tmp_path / "store"
    (own / "packages").mkdir(parents=True)
    for name in ("sources", "debs", "seeds", "specs"):
        (own / name).symlink_to(store.root / name)
    for path in (store.root / "packages").iterdir():
        if path.name != "bash":
            (own / "packages" / path.name).symlink_to(path)
    shutil.copytree(store.root / "packages" / "bash", own / "packages" / "bash", symlinks=True)
    for package in (own / "packages" / "bash").glob("*/rpms/bash-5*.rpm"):
        package.write_bytes(package.read_bytes()[:-5] + b"wrong")
    mended, other = attempt(checkout, "raw", "--store", str(own)).stderr, attempt(checkout, "raw").stderr
    assert re.search(r"packages/bash/\w+ in the store is damaged: rpms/bash-5\S+ has changed; it is made again", mended)
    assert re.findall(r"sha256 (\w{64})", mended) == re.findall(r"sha256 (\w{64})", other) != []


def test_only_appliances_are_signed(checkout: Path, tmp_path: Path) -> None:
    words = ("--sign-key", str(tmp_path / "key.pem"), "--sign-certificate", str(tmp_path / "key.crt"))
    assert "only an appliance" in image(checkout, "raw", *words, code=2)
    assert f"{tmp_path}/key.pem: no such file" in image(checkout, "ova", *words, code=2)
    assert "go together" in image(checkout, "ova", *words[:2], code=2)
    assert "there is no key to sign with" in image(checkout, "ova", "--sign", code=2)


def test_no_work_is_left_in_the_store(store: Store, checkout: Path) -> None:
    """Nothing of this process: other builds may be at work in the same store."""
    setting(checkout, "raw", "size: 2 GiB", "size: 200 MiB")
    before = {path.name for path in (store.root / "tmp").iterdir()}
    image(checkout, "raw", code=8)
    new = {path.name for path in (store.root / "tmp").iterdir()} - before
    assert not [name for name in new if (store.root / "tmp" / name / "image" / "disk.raw").exists()]
