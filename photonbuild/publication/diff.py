"""What changes from one publication to another, for a reader and as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from photonbuild.packages.versions import compare
from photonbuild.publication.index import ListedPackage, read_advisories
from photonbuild.publication.repository import Repository
from photonbuild.storage.interface import Reader


@dataclass(frozen=True, kw_only=True)
class Change:
    """A package of another version: NAME.ARCH, and the newest version of either side."""

    package: str
    old: str
    new: str

    @property
    def is_upgrade(self) -> bool:
        return compare(self.old, self.new) < 0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """From one repository to another. `other_bytes`: the same number, another file: signed by another key, or worse."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[Change, ...]
    other_bytes: tuple[str, ...]
    advisories: tuple[str, ...]

    def __bool__(self) -> bool:
        return any((self.added, self.removed, self.changed, self.other_bytes, self.advisories))

    def data(self) -> dict[str, Any]:
        """For JSON."""
        changed = [{**asdict(change), "upgrade": change.is_upgrade} for change in self.changed]
        return {**asdict(self), "changed": changed}

    def lines(self) -> list[str]:
        return [
            *(f"+ {nevra}" for nevra in self.added),
            *(f"- {nevra}" for nevra in self.removed),
            *(f"{'>' if item.is_upgrade else '<'} {item.package} {item.old} -> {item.new}" for item in self.changed),
            *(f"! {nevra}: the same number, other bytes" for nevra in self.other_bytes),
            *(f"advisory {name}" for name in self.advisories),
        ]


def difference(
    old: Repository, new: Repository, advisories: tuple[Iterable[str], Iterable[str]] = ((), ())
) -> Difference:
    """From `old` to `new`. `advisories`: the ids of either side."""
    before, after = _newest(old.packages), _newest(new.packages)
    bytes_of = {package.nevra: package.sha256 for package in old.packages}
    both = sorted(before.keys() & after.keys())
    return Difference(
        added=tuple(after[name].nevra for name in sorted(after.keys() - before.keys())),
        removed=tuple(before[name].nevra for name in sorted(before.keys() - after.keys())),
        changed=tuple(
            Change(package=name, old=before[name].version, new=after[name].version)
            for name in both
            if before[name].evr != after[name].evr
        ),
        other_bytes=tuple(
            package.nevra for package in new.packages if bytes_of.get(package.nevra, package.sha256) != package.sha256
        ),
        advisories=tuple(sorted(set(advisories[1]) - set(advisories[0]))),
    )


def advisory_ids(source: Reader, repository: Repository) -> list[str]:
    listed = repository.index.metadata.get("updateinfo")
    path = f"{repository.folder}/{listed.path}" if listed else ""
    data = source.read(path) if listed else None
    return [str(record.id) for record in read_advisories(data, f"{source.where}/{path}")] if data else []


def _newest(packages: Iterable[ListedPackage]) -> Mapping[str, ListedPackage]:
    """The newest package of each NAME.ARCH."""
    found: dict[str, ListedPackage] = {}
    for package in packages:
        name = f"{package.name}.{package.arch}"
        if name not in found or compare(found[name].version, package.version) < 0:
            found[name] = package
    return found
