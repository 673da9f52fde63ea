"""The build graph on spec records written here; no rpm, no sandbox."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photonbuild.config.sources import SourcesFile
from photonbuild.errors import ConfigError, SpecError
from photonbuild.packages.graph import Graph, build_graph, levels, no_maker, wanted_specs
from photonbuild.packages.package import Dependency
from photonbuild.packages.spec import BinaryPackage, Spec


def dependency(text: str) -> Dependency:
    """From ``name`` or ``name>=1``."""
    name, relation, version = re.fullmatch(r"([^<=>]+)([<=>]*)(.*)", text).groups()  # type: ignore[union-attr]
    return Dependency(name=name, relation=relation, version=version)


def words(text: str) -> tuple[Dependency, ...]:
    return tuple(dependency(word) for word in text.split())


def spec(
    name: str,
    build_requires: str = "",
    packages: dict[str, str] | None = None,
    *,
    conflicts: str = "",
    evr: str = "1-1",
) -> Spec:
    made = packages if packages is not None else {name: ""}
    return Spec(
        name=name,
        epoch=None,
        version="1",
        release="1",
        license="MIT",
        url="",
        summary="",
        build_requires=words(build_requires),
        build_conflicts=words(conflicts),
        sources=(),
        packages=tuple(
            BinaryPackage(
                name=package,
                arch="x86_64",
                license="MIT",
                provides=(Dependency(name=package, relation="=", version=evr),),
                requires=words(requires),
            )
            for package, requires in made.items()
        ),
        expanded="",
        where=f"specs/{name}/{name}.spec",
        warnings="",
        folder=Path(name),
        files=(),
        fetched=SourcesFile(),
    )


SEED = {"perl": "", "cmake": "3.31.6"}


def graph_of(*specs: Spec, owned: str = "libc", **more: Any) -> Graph:
    table = {one.name: one for one in specs}
    return build_graph(table, seed_capabilities=SEED, is_owned=lambda name: name in owned.split(), **more)


def test_devel_package_brings_what_it_requires() -> None:
    graph = graph_of(
        spec("zlib", "perl", {"zlib-libs": "", "zlib-devel": "zlib-libs"}),
        spec("ssl", "zlib-devel", {"ssl-libs": "", "ssl-devel": "ssl-libs zlib-devel"}),
        spec("curl", "ssl-devel libc"),
        spec("libc"),
    )
    assert graph.needs["curl"] == {"ssl", "zlib"}
    assert graph.roots["curl"] == ("ssl-devel",)
    assert graph.why("curl", "zlib") == "BuildRequires: ssl-devel, which requires zlib-devel"
    assert graph.needs["libc"] == frozenset()
    assert graph.all_before("curl") == {"ssl", "zlib"}
    assert graph.problems == {}


def test_unknown_name_has_a_suggestion() -> None:
    graph = graph_of(spec("zlib", "", {"zlib-devel": ""}), spec("curl", "zlib-dvel"))
    assert "zlib-dvel is neither" in str(graph.problems["curl"])
    assert graph.problems["curl"].hint == "did you mean zlib-devel?"


def test_a_problem_is_that_of_those_who_need_it() -> None:
    graph = graph_of(spec("curl", "nothing"), spec("git", "curl"), spec("hub", "git"), spec("other"))
    assert list(graph.problems) == ["curl"]
    assert graph.blocked(["curl", "git", "hub", "other"]) == {"curl": ["curl"], "git": ["curl"], "hub": ["curl"]}


def test_all_that_is_wrong_with_a_spec_is_told_at_once() -> None:
    error = graph_of(spec("curl", "nothing cmake>=99")).problems["curl"]
    assert error.message == "2 demands of the spec are not met"
    assert len((error.detail or "").splitlines()) == 2


def test_what_a_spec_that_cannot_be_read_may_have_made() -> None:
    error = SpecError("rpm cannot parse this spec", where="specs/zlib/zlib.spec:3")
    graph = graph_of(spec("curl", "zlib-devel"), spec("tool"), broken={"zlib": error})
    assert graph.problems["zlib"] is error
    assert "one of them may make it: zlib" in str(graph.problems["curl"].hint)
    assert graph.blocked(["tool"]) == {}
    with pytest.raises(SpecError, match="no spec makes the package 'zlib-devel'") as caught:
        wanted_specs(graph, ["zlib-devel"])
    assert caught.value.hint == "these could not be read, and one of them may make it: zlib"
    assert no_maker(graph, "zlib") is error


@pytest.mark.parametrize(
    ("need", "met"),
    [
        ("zlib>=1.2", True),
        ("zlib>=1.3", True),
        ("zlib=1.3", True),
        ("zlib=1.3-1", True),
        ("zlib<1.10", True),
        ("zlib>=99", False),
        ("zlib>1.3-1", False),
        ("zlib<1.3", False),
        ("zlib>=1:0", False),
        ("cmake>=3.9", True),
        ("cmake>=4", False),
        ("perl>=5", True),
        ("libc>=3", False),
        ("/usr/bin/perl", True),
        ("/usr/bin/ruby", False),
    ],
)
def test_versions_and_paths_of_build_requirements(need: str, met: bool) -> None:
    graph = graph_of(
        spec("zlib", evr="1.3-1"), spec("libc", evr="2.41-1"), spec("curl", need), in_seed="/usr/bin/perl".__eq__
    )
    assert (graph.problems == {}) == met


def test_an_unmet_version_says_file_line_and_what_there_is(tmp_path: Path) -> None:
    curl = replace(spec("curl", "zlib>=99"), folder=tmp_path / "curl")
    curl.folder.mkdir()
    curl.path.write_text("Name: curl\nBuildRequires: zlib-ng\nBuildRequires: a, zlib >= 99\n")
    error = graph_of(spec("zlib", evr="1.3-1"), curl).problems["curl"]
    assert str(error) == "specs/curl/curl.spec:3: BuildRequires: zlib >= 99 is not met: ours is zlib = 1.3-1"


@pytest.mark.parametrize(
    ("conflict", "wrong"),
    [
        ("zlib-libs", "is in the build root: zlib-libs"),
        ("zlib-libs<2", "is in the build root: zlib-libs"),
        ("zlib-libs>=2", None),
        ("other", None),
        ("cmake", "is in the seed"),
        ("cmake>4", None),
    ],
)
def test_build_conflicts(conflict: str, wrong: str | None) -> None:
    graph = graph_of(
        spec("zlib", "", {"zlib-libs": "", "zlib-devel": "zlib-libs"}),
        spec("other"),
        spec("curl", "zlib-devel", conflicts=conflict),
    )
    assert list(graph.problems) == (["curl"] if wrong else [])
    assert wrong is None or wrong in str(graph.problems["curl"])


def test_circle_is_explained_and_the_rest_goes_on() -> None:
    graph = graph_of(spec("a", "b"), spec("b", "c"), spec("c", "a"), spec("user", "c"), spec("self", "self"), spec("z"))
    detail = graph.problems["a"].detail
    assert detail is not None
    assert detail.splitlines()[:2] == ["a → b → c → a", "  a needs b  (BuildRequires: b)"]
    assert sorted(graph.problems) == ["a", "b", "c", "self"]
    assert sorted(graph.blocked(["user", "z"])) == ["user"]


def test_same_package_from_two_specs() -> None:
    graph = graph_of(spec("a", "", {"x": ""}), spec("b", "", {"x": ""}), spec("c"))
    assert sorted(graph.problems) == ["a", "b"]
    assert "made by two specs: a and b" in str(graph.problems["a"])


def test_wanted_specs_follow_requires_and_build_requires() -> None:
    graph = graph_of(spec("tool", "lib", {"tool": "data libc"}), spec("lib"), spec("data"), spec("other"), spec("libc"))
    assert wanted_specs(graph, ["tool"]) == {"tool", "lib", "data", "libc"}
    with pytest.raises(ConfigError, match="no spec makes the package 'tols'"):
        wanted_specs(graph, ["tols"])


def test_levels_are_the_longest_remaining_path() -> None:
    needs = {"kernel": frozenset[str](), "zlib": frozenset[str](), "curl": frozenset({"zlib"})}
    assert levels(needs, {"kernel": 8, "zlib": 1, "curl": 9}) == {"kernel": 8, "zlib": 10, "curl": 9}
