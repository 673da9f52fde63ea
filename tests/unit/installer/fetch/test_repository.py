"""A repository's metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.installer.errors import FetchError
from tests.support.installer import make_repository, packages_of


def test_packages_of_another_architecture_do_not_count(tmp_path: Path) -> None:
    assert packages_of(make_repository(tmp_path / "r", {("a", "1"): b"1"}, arch="aarch64")) == []


def test_metadata_that_is_not_what_it_says(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "r", {("a", "1"): b"1"})
    (folder / "repodata/p.xml.gz").write_bytes(b"x")
    with pytest.raises(FetchError, match="its sha256 is not the one in"):
        packages_of(folder)
    (folder / "repodata/repomd.xml").write_text("<a")
    with pytest.raises(FetchError, match="not valid XML"):
        packages_of(folder)
