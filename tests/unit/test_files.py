"""Files: written whole or not at all, known when they are damaged, copied without what they have in common."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from photonbuild import files


def full(*args: Any, **more: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_json_that_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="No space left"):
        files.write_json(path, {"a": 2}, durable=True)
    assert files.read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_what_is_durable_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        order.append(os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    def renamed(source: Path, target: Path) -> None:
        order.append(f"rename {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    files.write_json(tmp_path / "a.json", {}, durable=True)
    assert [Path(line).name.split(".")[1] if "rename" not in line else line for line in order[:2]] == [
        "a",
        "rename a.json",
    ]
    assert order[2:] == [str(tmp_path)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a": 1',
        "[1]",
        "null",
        "\0" * 64,
        '{"a": 2, "seal": "' + files.sealed({"a": 1})["seal"] + '"}',
        "\udcff",
    ],
)
def test_sealed_json_that_is_damaged_is_as_if_it_were_not_there(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert files.read_sealed(path) is None
    path.write_text(json.dumps(files.sealed({"a": 1})))
    assert files.read_sealed(path) == {"a": 1}


def test_json_of_an_older_version_has_no_seal(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert files.read_sealed(tmp_path / "a.json") == {"a": 1}
    assert files.read_sealed(tmp_path / "none") is None


@pytest.mark.parametrize("clone", [files.FICLONE, 0])
def test_a_copy_is_a_file_of_its_own_with_the_same_holes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clone: int
) -> None:
    monkeypatch.setattr(files, "FICLONE", clone)
    source, target = tmp_path / "a", tmp_path / "b"
    with source.open("wb") as out:
        out.write(b"head" * 1024)
        out.seek(64 << 20)
        out.write(b"middle" * 1024)
        out.truncate(100 << 20)
    os.utime(source, (5, 6))
    files.copy_file(source, target)
    assert files.sha256_of(source) == files.sha256_of(target)
    assert target.stat().st_blocks * 512 < 1 << 20
    assert target.stat().st_mtime == 6
    assert source.stat().st_nlink == 1
    with target.open("r+b") as out:
        out.write(b"other")
    assert source.read_bytes()[:4] == b"head"
    with pytest.raises(FileExistsError):
        files.copy_file(source, target)


def test_two_folders_change_places(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    files.exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists() and (tmp_path / "b" / "a").exists()
    with pytest.raises(FileNotFoundError):
        files.exchange(tmp_path / "a", tmp_path / "none")
