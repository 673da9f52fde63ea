"""The spec that is built: with a rebuild counter in its release, and a changelog that lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.sources import SourcesFile
from photonbuild.errors import SpecError
from photonbuild.sources.local import local_sources
from photonbuild.sources.specfile import built_text, with_entry

SPEC = "Name:  tool\nVersion: 1.0\nRelease:  3%{?dist}\n\n%package x\nRelease: 9\n\n%description\nA tool.\n"
ENTRY = "* Fri Nov 20 2026 A Maintainer <a@example> - 1.0-3\n- 100% better\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "specs" / "tool"
    folder.mkdir(parents=True)
    (folder / "tool.spec").write_text(SPEC)
    return folder


def test_a_spec_without_either_is_built_as_it_lies_there(folder: Path) -> None:
    assert built_text(folder, 0) is None


def test_only_a_counted_package_has_another_digest(folder: Path) -> None:
    (plain,) = local_sources(folder, SourcesFile())
    (counted,) = local_sources(folder, SourcesFile(), rebuild=1)
    (again,) = local_sources(folder, SourcesFile(), rebuild=2)
    assert len({plain.digest(), counted.digest(), again.digest()}) == 3


def test_the_count_is_at_the_end_of_the_source_packages_release(folder: Path) -> None:
    text = built_text(folder, 2)
    assert text is not None
    assert "Release:  3%{?dist}.2\n" in text and "Release: 9\n" in text


def test_the_changelog_is_no_source_and_ends_the_spec(folder: Path, tmp_path: Path) -> None:
    (folder / "changelog").write_text(ENTRY)
    (local,) = local_sources(folder, SourcesFile())
    local.write(tmp_path / "written")
    assert (tmp_path / "written").read_text() == f"{SPEC}\n%changelog\n{ENTRY.replace('%', '%%')}"
    assert local.digest().split()[1] == __import__("hashlib").sha256((tmp_path / "written").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "line"),
    [("- no entry\n", 1), (ENTRY + "* Nov 20 2026 A <a@example> - 1\n", 3), ("* Fri Nov 20 2026 A Maintainer\n", 1)],
)
def test_a_changelog_that_rpm_would_misread_is_told_with_its_line(folder: Path, text: str, line: int) -> None:
    (folder / "changelog").write_text(text)
    with pytest.raises(SpecError) as caught:
        built_text(folder, 0)
    assert caught.value.where == f"specs/tool/changelog:{line}"


def test_two_changelogs_and_two_releases_are_errors(folder: Path) -> None:
    (folder / "tool.spec").write_text(SPEC.replace("\n\n", "\nRelease: 4\n\n", 1))
    with pytest.raises(SpecError, match="2 lines 'Release:'"):
        built_text(folder, 1)
    (folder / "tool.spec").write_text(f"{SPEC}\n%changelog\n{ENTRY}")
    (folder / "changelog").write_text(ENTRY)
    with pytest.raises(SpecError, match="%changelog is in the spec"):
        built_text(folder, 0)


def test_a_new_entry_is_on_top() -> None:
    assert with_entry("", "* new\n- a") == "* new\n- a\n"
    assert with_entry("* old\n- b\n", "* new\n- a") == "* new\n- a\n\n* old\n- b\n"


@pytest.mark.parametrize("name", ["tool.spec", "changelog"])
def test_what_is_no_utf_8_is_an_error_with_its_line(folder: Path, name: str) -> None:
    (folder / "changelog").write_text(ENTRY)
    path = folder / name
    path.write_bytes(path.read_bytes() + b"\n# caf\xe9\n")
    with pytest.raises(SpecError, match="no UTF-8") as error:
        built_text(folder, 1)
    assert error.value.where == f"specs/tool/{name}:{path.read_bytes().count(bytes([10]))}"
