"""Local sources: files as they are, folders as one tar whose bytes depend only on names, execute bits and contents."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from photonbuild.config.models import SourcesFile
from photonbuild.errors import SpecError
from photonbuild.sources.local import LocalSource, local_sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """specs/tool with a source folder that shares code/ with specs/other by a link."""
    tool = tmp_path / "specs" / "tool"
    (tool / "src").mkdir(parents=True)
    (tool / "tool.spec").write_text("Name: tool\n")
    (tool / "sources.yaml").write_text("")
    (tool / "src" / "main.go").write_text("package main\n")
    (tool / "src" / "run.sh").write_text("#!/bin/sh\n")
    (tool / "src" / "run.sh").chmod(0o700)
    (tool / "src" / "vendor").mkdir()
    (tool / "src" / "vendor" / "left.go").write_text("")
    (tmp_path / "specs" / "other" / "code" / "vendor").mkdir(parents=True)
    (tmp_path / "specs" / "other" / "code" / "vendor" / "shared.go").write_text("package vendor\n")
    (tool / "src" / "code").symlink_to("../../other/code")
    return tool


def source(folder: Path) -> LocalSource:
    (found,) = [local for local in local_sources(folder, SourcesFile()) if local.name.endswith(".tar")]
    return found


def test_names(folder: Path, tmp_path: Path) -> None:
    fragment = tmp_path / "build" / "base.fragment"
    fragment.parent.mkdir()
    fragment.write_text("CONFIG_X=y\n")
    found = local_sources(folder, SourcesFile(local=("../../build/base.fragment",)))
    assert [local.name for local in found] == ["src.tar", "tool.spec", "base.fragment"]


def test_a_folder_becomes_a_normalised_tar(folder: Path, tmp_path: Path) -> None:
    source(folder).write(tmp_path / "one.tar")
    (folder / "src" / "main.go").chmod(0o600)
    (folder / "src" / "main.go").touch()
    source(folder).write(tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        members = tar.getmembers()
        shared = tar.extractfile("src/code/vendor/shared.go")
        assert shared is not None and shared.read() == b"package vendor\n"
    assert [(m.name, m.mode) for m in members] == [
        ("src/code/vendor/shared.go", 0o644),
        ("src/main.go", 0o644),
        ("src/run.sh", 0o755),
    ]
    assert all(m.isreg() and (m.uid, m.gid, m.uname) == (0, 0, "") for m in members)


def test_the_digest_sees_names_contents_and_execute_bits(folder: Path) -> None:
    digests = [source(folder).digest()]
    (folder / "src" / "run.sh").chmod(0o644)
    digests.append(source(folder).digest())
    (folder / "src" / "main.go").write_text("package other\n")
    digests.append(source(folder).digest())
    (folder / "src" / "main.go").rename(folder / "src" / "new.go")
    digests.append(source(folder).digest())
    assert len(set(digests)) == 4
    (folder / "src" / "vendor" / "left.go").write_text("is left out\n")
    assert source(folder).digest() == digests[-1]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("missing", "symbolic link to nothing"),
        ("/etc/hostname", "to a place outside specs"),
        ("../../../secret", "to a place outside specs"),
        ("..", "to a folder that holds it"),
    ],
)
def test_links_that_lead_astray(folder: Path, tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "secret").write_text("")
    (folder / "src" / "bad").symlink_to(target)
    with pytest.raises(SpecError, match=message):
        source(folder).digest()


def test_the_mode_of_a_file_counts(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    script = tmp_path / "p" / "check.sh"
    script.write_text("true\n")
    script.chmod(0o644)
    (before,) = local_sources(tmp_path / "p", SourcesFile())
    first = before.digest()
    script.chmod(0o755)
    assert before.digest() != first
    assert before.digest().startswith("0755 ") and first.startswith("0644 ")
