"""Files of secret keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from photonbuild.publication.openpgp import write_secret


def test_a_secret_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "key.asc"
    write_secret(path, "secret\n")
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        write_secret(path, "another\n")
    assert path.read_text() == "secret\n"
    assert [each.name for each in path.parent.iterdir()] == ["key.asc"]


def test_a_secret_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, link = os.fsync, os.link

    def synced(handle: int) -> None:
        done.append("fsync")
        fsync(handle)

    def linked(source: Path, target: Path) -> None:
        done.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    write_secret(tmp_path / "keys" / "key.asc", "secret\n")
    assert done == ["fsync", "link"]
