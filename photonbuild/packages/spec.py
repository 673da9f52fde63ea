"""A spec as rpm itself tells of it, and what lies beside it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.config.sources import SourcesFile
from photonbuild.errors import SpecError
from photonbuild.packages.package import Dependency, dependencies
from photonbuild.roots import Roots


@dataclass(frozen=True, kw_only=True)
class BinaryPackage:
    """A package that a spec makes, as far as the spec itself says."""

    name: str
    arch: str
    license: str
    provides: tuple[Dependency, ...]
    requires: tuple[Dependency, ...]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A parsed spec. `files`: (name, digest) of everything beside it; `expanded`: digest of the expanded text.

    `warnings`: what it printed while it was parsed. `where`: the file in messages.
    """

    name: str
    epoch: int | None
    version: str
    release: str
    license: str
    url: str
    summary: str
    build_requires: tuple[Dependency, ...]
    build_conflicts: tuple[Dependency, ...]
    sources: tuple[str, ...]
    packages: tuple[BinaryPackage, ...]
    expanded: str
    warnings: str
    folder: Path
    files: tuple[tuple[str, str], ...]
    fetched: SourcesFile
    where: str

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.spec"

    @property
    def evr(self) -> str:
        return f"{self.version}-{self.release}"


def spec_file(roots: Roots, folder: Path) -> str:
    """The spec of a folder in messages."""
    return roots.where(folder / f"{folder.name}.spec")


def where_of(name: str) -> str:
    """The spec of this name below a root, and where it is parsed."""
    return f"specs/{name}/{name}.spec"


def printable(text: str) -> str:
    """Text of a spec for a terminal: control characters are none of it."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def make_spec(
    folder: Path, record: dict[str, Any], fetched: SourcesFile, files: tuple[tuple[str, str], ...], *, where: str = ""
) -> Spec:
    packages = tuple(
        BinaryPackage(
            name=p["name"],
            arch=p["arch"],
            license=p["license"],
            provides=dependencies(p["provides"]),
            requires=dependencies(p["requires"]),
        )
        for p in record["packages"]
    )
    fields = ("name", "epoch", "version", "release", "license", "url", "summary", "expanded", "warnings")
    return Spec(
        **{name: record[name] for name in fields},
        packages=packages,
        sources=tuple(record["sources"]),
        build_requires=dependencies(record["build_requires"]),
        build_conflicts=dependencies(record["build_conflicts"]),
        folder=folder,
        files=files,
        fetched=fetched,
        where=where or where_of(folder.name),
    )


def check_spec(spec: Spec) -> None:
    """The folder carries the spec's name, and each source is either a local file or a locked one."""
    where = spec.where
    if spec.name != spec.folder.name:
        raise SpecError(f"the spec calls itself {spec.name}", where=where, hint="folder, file and Name: must agree")
    known = {name for name, _ in spec.files} | {name for entry in spec.fetched.sources for name in entry.names}
    for source in spec.sources:
        if source not in known:
            near = difflib.get_close_matches(source, sorted(known), 1)
            raise SpecError(
                f"{source} is neither beside the spec nor in its sources.yaml",
                where=where,
                hint=f"did you mean {near[0]}?" if near else f"photonbuild sources lock {spec.name}",
            )
