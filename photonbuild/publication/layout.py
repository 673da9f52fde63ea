"""What is where in a publication: RELEASE/KIND/…, a repository each, and the same below RELEASE/SNAPSHOT/."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.models import Distribution
from photonbuild.errors import ConfigError
from photonbuild.publication.openpgp import Key

KINDS = ("packages", "debuginfo", "sources")
DEBUG = ("-debuginfo", "-debugsource")
INDEX, SIGNATURE = "repodata/repomd.xml", "repodata/repomd.xml.asc"
# The signature of one index alone, under a name that holds its digest, as other metadata have it.
SIGNATURE_OF = "repodata/{sha256}-repomd.xml.asc"
# Beside repodata: what was ever published here, and when. For publishers, not for clients.
LEDGER = "publications.json"
SNAPSHOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The paths of one release of a distribution."""

    id: str
    release: str
    arch: str

    @classmethod
    def of(cls, distribution: Distribution) -> Layout:
        return cls(id=distribution.id, release=distribution.version, arch=distribution.arch)

    @property
    def key_file(self) -> str:
        """The public key, at the top, where dnf's users look for one."""
        return f"RPM-GPG-KEY-{self.id}"

    def repository(self, kind: str, snapshot: str | None = None) -> str:
        """The folder of a repository, to which a client's baseurl leads."""
        top = f"{self.release}/{snapshot}" if snapshot else self.release
        return f"{top}/{kind}" if kind == "sources" else f"{top}/{kind}/{self.arch}"

    def repositories(self, snapshot: str | None = None) -> Mapping[str, str]:
        """The folder of each kind."""
        return {kind: self.repository(kind, snapshot) for kind in KINDS}


def package_folder(key: Key) -> str:
    """Where in a repository the packages are that this key has signed."""
    return f"Packages/{key.short[-8:]}"


def kind_of(path: Path) -> str:
    """The repository that a package file belongs to, by its name."""
    if path.name.endswith(".src.rpm"):
        return "sources"
    name = path.name.rsplit("-", 2)[0]
    return "debuginfo" if name.endswith(DEBUG) else "packages"


def by_kind(rpms: Iterable[Path]) -> Mapping[str, list[Path]]:
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in rpms:
        found[kind_of(path)].append(path)
    return found


def check_snapshot(name: str) -> str:
    """The name of a snapshot, if it is one: a folder beside those of the kinds. Raises ConfigError."""
    if not SNAPSHOT.fullmatch(name) or name in KINDS:
        raise ConfigError(f"'{name}' is no name of a snapshot", hint="letters, digits, '.', '_' and '-': 2026-11-20")
    return name
