"""Where files of a distribution are looked up when it lies over another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import load_sources
from photonbuild.errors import ConfigError
from photonbuild.roots import Root, Roots
from photonbuild.sources.local import local_sources


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """A project over a distribution. Of a and b both have the name, c is below only."""
    for name in ("own", "below"):
        for spec in "ab" if name == "own" else "abc":
            write(tmp_path / name / "specs" / spec / f"{spec}.spec", name)
    return Roots((Root(path=tmp_path / "own"), Root(path=tmp_path / "below", label="below@0123:")))


def test_the_uppermost_counts(roots: Roots) -> None:
    assert roots.find("specs/a") == roots.own / "specs/a"
    assert roots.find("specs/c") == roots.below.own / "specs/c"
    assert roots.find("specs/none") == roots.own / "specs/none"
    assert [path.parts[-3] for path in roots.entries("specs").values()] == ["own", "own", "below"]
    assert roots.all("specs/a") == [roots.below.own / "specs/a", roots.own / "specs/a"]


def test_messages_name_the_root(roots: Roots) -> None:
    assert roots.where(roots.own / "specs/a/a.spec") == "specs/a/a.spec"
    assert roots.where(roots.below.own / "specs/c/c.spec") == "below@0123:specs/c/c.spec"
    assert roots.where(Path("/elsewhere")) == "/elsewhere"


def test_a_kernel_fragment_of_the_project_is_in_the_kernel_of_the_distribution(roots: Roots) -> None:
    below = roots.below.own
    write(below / "specs/c/sources.yaml", "local:\n  - ../../build/kernel/host.fragment\n  - ../../LICENSE\n")
    write(below / "build/kernel/host.fragment", "CONFIG_A=y\n")
    write(below / "LICENSE", "words\n")

    def text() -> list[str]:
        fetched = load_sources(below / "specs/c", roots=roots)
        found = local_sources(below / "specs/c", fetched, roots=roots)
        return [local.path.read_text() for local in found if local.name in ("host.fragment", "LICENSE")]

    assert text() == ["CONFIG_A=y\n", "words\n"]
    own = write(roots.own / "build/kernel/host.fragment", "CONFIG_B=y\n")
    assert text() == ["CONFIG_B=y\n", "words\n"]
    own.unlink()
    write(roots.own.parent / "secret")
    own.symlink_to("../../../secret")
    with pytest.raises(ConfigError, match="symbolic link to a place outside own/") as caught:
        text()
    assert caught.value.where == "below@0123:specs/c/sources.yaml:2"


def test_a_replaced_spec_still_has_the_sources_of_the_distribution(roots: Roots) -> None:
    """As one has it that was copied to be changed: what it names outside its folder is not copied with it."""
    write(roots.below.own / "src/tool/main.c", "int main;\n")
    folder = roots.own / "specs/a"
    write(folder / "sources.yaml", "local:\n- {tar: tool.tar, folder: ../../src/tool}\n")
    (_, tar) = local_sources(folder, load_sources(folder, roots=roots), roots=roots)
    assert [name for name, _ in tar.members()] == ["main.c"]
    with pytest.raises(ConfigError, match="not found"):
        load_sources(folder)


def test_a_file_in_the_folder_of_the_spec_is_never_another_ones(roots: Roots) -> None:
    write(roots.below.own / "specs/a/fix.patch")
    write(roots.own / "specs/a/sources.yaml", "local: [fix.patch]\n")
    with pytest.raises(ConfigError, match=r"local file 'fix.patch' not found"):
        load_sources(roots.own / "specs/a", roots=roots)
