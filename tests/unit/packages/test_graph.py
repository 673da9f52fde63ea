"""The build graph on spec records written here; no rpm, no sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.models import SourcesFile
from photonbuild.errors import ConfigError, SpecError
from photonbuild.packages.graph import Graph, build_graph, find_cycle, levels, wanted_specs
from photonbuild.packages.package import Dependency
from photonbuild.packages.spec import BinaryPackage, Spec


def spec(name: str, build_requires: str = "", packages: dict[str, str] | None = None) -> Spec:
    made = packages if packages is not None else {name: ""}
    return Spec(
        name=name,
        epoch=None,
        version="1",
        release="1",
        license="MIT",
        url="",
        summary="",
        build_requires=tuple(Dependency(name=word) for word in build_requires.split()),
        sources=(),
        packages=tuple(
            BinaryPackage(
                name=package,
                arch="x86_64",
                license="MIT",
                provides=(Dependency(name=package),),
                requires=tuple(Dependency(name=word) for word in requires.split()),
            )
            for package, requires in made.items()
        ),
        expanded="",
        folder=Path(name),
        files=(),
        fetched=SourcesFile(),
    )


def graph_of(*specs: Spec, owned: str = "libc") -> Graph:
    table = {one.name: one for one in specs}
    return build_graph(table, seed_capabilities={"perl"}, is_owned=lambda name: name in owned.split())


def test_devel_package_brings_what_it_requires() -> None:
    graph = graph_of(
        spec("zlib", "perl", {"zlib-libs": "", "zlib-devel": "zlib-libs"}),
        spec("ssl", "zlib-devel", {"ssl-libs": "", "ssl-devel": "ssl-libs zlib-devel"}),
        spec("curl", "ssl-devel libc"),
        spec("libc"),
    )
    assert graph.needs["curl"] == {"ssl", "zlib"}
    assert graph.roots["curl"] == ("ssl-devel",)
    assert graph.why["curl", "zlib"] == "BuildRequires: ssl-devel, which requires zlib-devel"
    assert graph.needs["libc"] == frozenset()


def test_unknown_name_has_a_suggestion() -> None:
    with pytest.raises(SpecError, match="zlib-dvel is neither") as error:
        graph_of(spec("zlib", "", {"zlib-devel": ""}), spec("curl", "zlib-dvel"))
    assert error.value.hint == "did you mean zlib-devel?"


def test_cycle_is_explained() -> None:
    with pytest.raises(SpecError) as error:
        graph_of(spec("a", "b"), spec("b", "c"), spec("c", "a"))
    assert error.value.detail is not None
    assert error.value.detail.splitlines()[:2] == ["a → b → c → a", "  a needs b  (BuildRequires: b)"]


def test_find_cycle_ignores_diamonds() -> None:
    assert find_cycle({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) is None
    assert find_cycle({"a": {"b"}, "b": {"b"}}) == ["b", "b"]


def test_same_package_from_two_specs() -> None:
    with pytest.raises(SpecError, match="made by two specs: a and b"):
        graph_of(spec("a", "", {"x": ""}), spec("b", "", {"x": ""}))


def test_wanted_specs_follow_requires_and_build_requires() -> None:
    table = {one.name: one for one in (spec("tool", "lib", {"tool": "data"}), spec("lib"), spec("data"), spec("other"))}
    graph = build_graph(table, seed_capabilities=(), is_owned=lambda name: False)
    assert wanted_specs(table, graph, ["tool"]) == {"tool", "lib", "data"}
    with pytest.raises(ConfigError, match="no spec makes the package 'tols'"):
        wanted_specs(table, graph, ["tols"])


def test_levels_are_the_longest_remaining_path() -> None:
    needs = {"kernel": frozenset[str](), "zlib": frozenset[str](), "curl": frozenset({"zlib"})}
    assert levels(needs, {"kernel": 8, "zlib": 1, "curl": 9}) == {"kernel": 8, "zlib": 10, "curl": 9}
