"""The store: entries that appear whole, leftovers, a full disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from photonbuild.errors import StoreError
from photonbuild.store import Store


def test_staging_is_gone_unless_published(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    with store.staging() as work:
        (work / "out").mkdir()
        (work / "out" / "file").write_text("x")
        store.publish(work / "out", store.package("p", "k"))
    assert (store.package("p", "k") / "file").read_text() == "x"
    assert list((store.root / "tmp").iterdir()) == []


def test_first_of_two_publishers_wins(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    for text in ("first", "second"):
        with store.staging() as work:
            (work / "out").mkdir()
            (work / "out" / "file").write_text(text)
            store.publish(work / "out", store.package("p", "k"))
    assert (store.package("p", "k") / "file").read_text() == "first"


def test_leftovers_of_dead_builds_are_swept_and_live_ones_kept(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    dead = store.root / "tmp" / "w-dead"
    dead.mkdir()
    dead.with_suffix(".lock").touch()
    with store.staging() as live:
        Store.open(tmp_path / "store")
        assert live.exists()
        assert not dead.exists()


def test_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as error:
        Store.open(tmp_path / "file" / "store")
    assert error.value.exit_code == 10
    assert "PHOTONBUILD_STORE" in str(error.value.hint)


def test_full_disk_is_said_before_work_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("U", (), {"free": 1 << 20, "total": usage.f_blocks})())
    with pytest.raises(StoreError, match="only 1 MiB are free"):
        Store.open(tmp_path / "store")


def test_a_path_that_mount_options_would_split(tmp_path: Path) -> None:
    for name in ("a,b", "a:b", "a\\b"):
        with pytest.raises(StoreError, match="may hold no comma"):
            Store.open(tmp_path / name)
        assert not (tmp_path / name).exists()
