"""What every part of the tool means by a package: one binary RPM, its file and what its header says."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """A capability with an optional relation ('', '=', '>=', …) and version."""

    name: str
    relation: str = ""
    version: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.name, self.relation, self.version) if part)


def dependencies(rows: Iterable[Mapping[str, str]]) -> tuple[Dependency, ...]:
    """From the rows that the programs of the sandbox write: name, relation, version."""
    return tuple(_dependency(row["name"], row["relation"], row["version"]) for row in rows)


# Thousands of packages name the same few thousand capabilities.
@functools.lru_cache(1 << 16)
def _dependency(name: str, relation: str, version: str) -> Dependency:
    return Dependency(name=name, relation=relation, version=version)


@dataclass(frozen=True, kw_only=True)
class Package:
    """A binary package. `path`: its file, of `file_size` bytes and with this `sha256`.

    `source`: file name of the source package; `installed_size`: bytes of its files once they are installed.
    """

    name: str
    nevra: str
    arch: str
    license: str
    source: str
    path: Path
    sha256: str
    file_size: int
    installed_size: int
    provides: tuple[Dependency, ...]
    requires: tuple[Dependency, ...]

    @property
    def capabilities(self) -> frozenset[str]:
        """The names of all that it provides, its own among them."""
        return frozenset(dependency.name for dependency in self.provides) | {self.name}
