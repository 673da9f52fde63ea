"""Packages as the build describes them, for tests that have no RPM or one made by `tinyrpm`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from photonbuild.files import sha256_of
from photonbuild.packages.package import Package


def package(name: str, path: Path | None = None, *, evr: str = "1-1", arch: str = "noarch") -> Package:
    """A package without dependencies. With a `path` of a real file, its size and digest are that file's."""
    real = path is not None and path.is_file()
    return Package(
        name=name,
        nevra=f"{name}-{evr}.{arch}",
        arch=arch,
        license="GPL",
        source=f"{name}-{evr}.src.rpm",
        path=path or Path(f"/{name}.rpm"),
        sha256=sha256_of(path) if path and real else f"digest of {name}",
        file_size=path.stat().st_size if path and real else 1,
        installed_size=9,
        provides=(),
        requires=(),
    )


def by_nevra(files: Iterable[Path]) -> Mapping[str, Package]:
    """The packages in files that are called NAME-VERSION-RELEASE.ARCH.rpm."""
    found = {}
    for path in files:
        stem, _, arch = path.name.removesuffix(".rpm").rpartition(".")
        name, version, release = stem.rsplit("-", 2)
        found[f"{stem}.{arch}"] = package(name, path, evr=f"{version}-{release}", arch=arch)
    return found
