"""Repository metadata and the solver, over package files of a few hundred bytes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from photonbuild.errors import SolveError
from photonbuild.packages.package import Package
from photonbuild.packages.repo import make_repository
from photonbuild.packages.solve import requirements
from photonbuild.packages.solve import solve as solve_packages
from tests.support.packages import by_nevra
from tests.support.tinyrpm import write_rpm

REVISION = 1767225600


def digests(repo: Path) -> dict[str, str]:
    return {
        str(path.relative_to(repo)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(repo.rglob("*"))
        if path.is_file()
    }


def names(packages: tuple[Package, ...]) -> list[str]:
    return [package.name for package in packages]


def solve(repo: Path, names: list[str], *, arch: str, where: str | None = None) -> tuple[Package, ...]:
    packages = by_nevra((repo / "Packages").glob("*.rpm"))
    return solve_packages(repo, packages, names, arch=arch, where=where)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    rpms = tmp_path / "rpms"
    rpms.mkdir()
    files = [
        write_rpm(rpms, "app", requires=["libone.so.1()(64bit)", "/usr/bin/sh"], recommends=["extra"]),
        write_rpm(rpms, "one-libs", provides=["libone.so.1()(64bit)"]),
        write_rpm(rpms, "shell", files=["/usr/bin/sh"]),
        write_rpm(rpms, "extra"),
        write_rpm(rpms, "broken", requires=["libmissing.so.7()(64bit)"]),
        write_rpm(rpms, "rival", conflicts=["shell"]),
    ]
    make_repository(files, tmp_path / "repo", revision=REVISION)
    return tmp_path / "repo"


def test_install_set(repo: Path) -> None:
    packages = solve(repo, ["app"], arch="x86_64")
    assert names(packages) == ["app", "one-libs", "shell"]
    assert packages[0] == by_nevra([packages[0].path])["app-1.0-1.x86_64"]


def test_order_of_names_does_not_matter(repo: Path) -> None:
    assert solve(repo, ["extra", "app"], arch="x86_64") == solve(repo, ["app", "extra", "app"], arch="x86_64")


def test_unknown_name(repo: Path) -> None:
    with pytest.raises(SolveError) as caught:
        solve(repo, ["one-lib"], arch="x86_64", where="profile default")
    assert str(caught.value) == "profile default: unknown package 'one-lib', did you mean 'one-libs'"
    assert caught.value.exit_code == 7


def test_missing_requirement_in_words(repo: Path) -> None:
    with pytest.raises(SolveError) as caught:
        solve(repo, ["broken"], arch="x86_64")
    assert caught.value.detail == ("nothing provides libmissing.so.7()(64bit) needed by broken-1.0-1.x86_64")
    assert requirements(repo, arch="x86_64") == {"broken-1.0-1.x86_64": ("libmissing.so.7()(64bit)",)}


def test_conflict_in_words(repo: Path) -> None:
    with pytest.raises(SolveError) as caught:
        solve(repo, ["app", "rival"], arch="x86_64")
    assert "rival-1.0-1.x86_64 conflicts with shell" in (caught.value.detail or "")


def test_same_packages_same_bytes(tmp_path: Path) -> None:
    rpms = tmp_path / "rpms"
    rpms.mkdir()
    files = [write_rpm(rpms, name) for name in ("b", "a", "c")]
    make_repository(files, tmp_path / "one", revision=REVISION)
    for path in files:
        os.utime(path, (1, 1))
    make_repository(files[::-1], tmp_path / "two", revision=REVISION)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "rpms", "two"]


def test_an_older_repository_is_replaced(repo: Path, tmp_path: Path) -> None:
    make_repository([tmp_path / "rpms" / "extra-1.0-1.x86_64.rpm"], repo, revision=REVISION)
    assert [path.name for path in (repo / "Packages").iterdir()] == ["extra-1.0-1.x86_64.rpm"]


def test_a_bad_file_leaves_nothing_behind(tmp_path: Path) -> None:
    bad = tmp_path / "bad.rpm"
    bad.write_bytes(b"no package")
    with pytest.raises(SolveError, match="not a readable package"):
        make_repository([bad], tmp_path / "repo", revision=REVISION)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.rpm"]


def test_the_same_package_twice(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    pair = [write_rpm(first, "a"), write_rpm(second, "a")]
    with pytest.raises(SolveError, match="listed twice"):
        make_repository(pair, tmp_path / "repo", revision=REVISION)
    renamed = pair[1].rename(second / "other.rpm")
    with pytest.raises(SolveError, match="is in two files"):
        make_repository([pair[0], renamed], tmp_path / "repo", revision=REVISION)


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(SolveError, match="not a repository"):
        solve(tmp_path, ["a"], arch="x86_64")
