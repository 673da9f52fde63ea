"""Members of a fetched tar as sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import load_sources
from photonbuild.errors import ConfigError, SourceError
from photonbuild.sources.members import extract, read_member
from tests.support.debian_archive import tar_of

FILES = {"debian/patches/series": "a.patch\n", "debian/patches/a.patch": "--- a\n", "debian/control": "x\n"}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "tool.debian.tar.xz"
    path.write_bytes(tar_of(FILES))
    return path


def test_members_are_put_there_by_their_last_names_and_nothing_else(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    extract(archive, ["debian/patches/a.patch"], tmp_path / "out", where="x")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {"a.patch": "--- a\n"}
    assert read_member(archive, "debian/patches/series") == "a.patch\n"
    assert read_member(archive, "debian/none") == ""


def test_a_member_that_is_not_there_is_named_with_the_nearest(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file 'debian/patches/b.patch', did you mean 'debian/patches/a.patch'"):
        extract(archive, ["debian/patches/b.patch"], tmp_path, where="x")


def test_what_is_no_tar_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "no.tar").write_bytes(b"\xfd7zXZ\0 no")
    with pytest.raises(SourceError, match="no tar"):
        extract(tmp_path / "no.tar", ["a"], tmp_path, where="x")


def test_two_members_of_one_name_are_refused_with_the_line(tmp_path: Path) -> None:
    folder = tmp_path / "specs" / "tool"
    folder.mkdir(parents=True)
    (folder / "sources.yaml").write_text(
        "sources:\n- file: a.tar\n  providers: [{type: local, path: a}]\n  members:\n  - x/a.patch\n  - y/a.patch\n"
    )
    with pytest.raises(ConfigError, match=r"'a.patch' is already listed in line 5") as caught:
        load_sources(folder)
    assert str(caught.value.where).endswith("sources.yaml:6")
