"""The choice of packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from photonbuild.installer.errors import PackageError
from photonbuild.installer.fetch.repository import Package
from photonbuild.installer.fetch.resolve import choose, compare_versions, providers, with_required
from tests.support.installer import make_repository, packages_of


def test_the_newest_package_is_chosen(tmp_path: Path) -> None:
    known = packages_of(make_repository(tmp_path / "r", {("a", "1.9"): b"1", ("a", "1.10"): b"2", ("b", "1"): b"3"}))
    assert [package.nevr for package in choose(["a", "b"], known)] == ["a-1.10-1", "b-1-1"]
    assert [package.nevr for package in choose(["a=1.9", "a=1.9-1"], known)] == ["a-1.9-1"] * 2
    assert providers("libb.so.1()(64bit) is needed by a-1.9", known) == ["b"]
    with pytest.raises(PackageError) as caught:
        choose(["aa", "b=2"], known)
    assert (
        caught.value.detail
        == "no repository has 'aa', did you mean 'a'\nthere is no 'b' of version 2 (there are: b-1-1)"
    )


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.9", "1.10"), ("1.0~rc1", "1.0"), ("1.0", "1.0^git1"), ("1.0^git1", "1.0.1"), ("1.0a", "1.0.1"), ("1", "1.0"),
     ("1.0~rc1", "1.0~rc2"), ("a", "b"), ("1.05", "1.6")],
)  # fmt: skip
def test_order_of_versions(older: str, newer: str) -> None:
    assert compare_versions(older, newer) == -1
    assert compare_versions(newer, older) == 1
    assert compare_versions(older, older) == 0


def test_what_a_package_requires_comes_along() -> None:
    def package(name: str, version: str = "1", **names: set[str]) -> Package:
        more = {key: frozenset(value) for key, value in names.items()}
        return Package(
            name=name, epoch="0", version=version, release="1", url=name, sha256="", size=1,
            provides=more.get("provides", frozenset()), requires=more.get("requires", frozenset()),
        )  # fmt: skip

    tool = package("tool", requires={"library", "/bin/sh", "rpmlib(X)", "(a if b)", "nowhere"}, provides={"/usr/bin/t"})
    old, new = (package("lib", version, provides={"library"}, requires={"deep"}) for version in "12")
    deep = package("deep", provides={"deep", "tool"}, requires={"tool"})
    asked: list[str] = []

    def unmet(names: Sequence[str]) -> set[str]:
        asked.extend(names)
        return set(names) - {"/bin/sh"}

    everything = [tool, old, new, deep]
    chosen = choose(["/usr/bin/t"], everything)
    assert with_required(chosen, everything, unmet) == [tool, new, deep]
    assert sorted(asked) == ["/bin/sh", "deep", "library", "nowhere"], "each is asked once"
    assert with_required([deep, tool], everything, lambda names: set()) == [deep, tool]
