"""What differs between two images, by their manifests: packages, sizes, and the files that packages bring. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from photonbuild.packages.versions import compare

# [size, mode and kind, digest or target of a link] of a file by its path.
Files = Mapping[str, Sequence[str | int]]


@dataclass(frozen=True, kw_only=True)
class ListedPackage:
    """A package of a manifest: bytes of its installed files, digest of its RPM."""

    name: str
    version: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PackageChange:
    """A package of both images that is not the same: `rebuilt` when only its bytes differ. `size`: bytes more."""

    name: str
    old: str
    new: str
    size: int

    @property
    def sign(self) -> str:
        order = compare(self.old, self.new)
        return ">" if order < 0 else "<" if order > 0 else "!"


@dataclass(frozen=True, kw_only=True)
class SetDifference:
    """Of one set of packages, by its key in the manifest. `size`: bytes more of installed files in all."""

    key: str
    added: tuple[ListedPackage, ...]
    removed: tuple[ListedPackage, ...]
    changed: tuple[PackageChange, ...]
    size: int


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """A file of both images that is not the same. `size`: bytes more."""

    path: str
    size: int


@dataclass(frozen=True, kw_only=True)
class ImageDifference:
    """From one image to another. `size`: bytes of the image files. `unknown`: packages whose files are unknown."""

    size: tuple[int, int]
    facts: Mapping[str, tuple[Any, Any]]
    sets: tuple[SetDifference, ...]
    files_added: Mapping[str, int] = field(default_factory=dict)
    files_removed: Mapping[str, int] = field(default_factory=dict)
    files_changed: tuple[FileChange, ...] = ()
    unknown: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        rows = [f"size {megabytes(self.size[0])} -> {megabytes(self.size[1])} ({signed(self.size[1] - self.size[0])})"]
        rows += [f"{name} {_short(old)} -> {_short(new)}" for name, (old, new) in self.facts.items()]
        for one in self.sets:
            if one.added or one.removed or one.changed:
                rows.append(f"{one.key.replace('_', ' ')} ({signed(one.size)} installed)")
            rows += [f"  + {package.name} {package.version} ({megabytes(package.size)})" for package in one.added]
            rows += [f"  - {package.name} {package.version} ({megabytes(package.size)})" for package in one.removed]
            for change in one.changed:
                what = f"{change.old} -> {change.new}" if change.sign != "!" else f"{change.new}, other bytes"
                rows.append(f"  {change.sign} {change.name} {what} ({signed(change.size)})")
        if self.files_added or self.files_removed or self.files_changed:
            rows.append("files of packages")
        rows += [f"  + {path} ({size} bytes)" for path, size in self.files_added.items()]
        rows += [f"  - {path} ({size} bytes)" for path, size in self.files_removed.items()]
        rows += [f"  ! {file.path} ({file.size:+} bytes)" for file in self.files_changed]
        if self.unknown:
            rows.append(f"of these packages the store has no files: {', '.join(self.unknown)}")
        return rows


def packages_of(manifest: Mapping[str, Any], key: str) -> dict[str, list[ListedPackage]]:
    """The packages of a set by their names: of some there are several versions."""
    found: dict[str, list[ListedPackage]] = {}
    for row in manifest.get(key, ()):
        version = row["nevra"].removeprefix(f"{row['name']}-").rpartition(".")[0]
        package = ListedPackage(name=row["name"], version=version, size=row["size"], sha256=row["sha256"])
        found.setdefault(package.name, []).append(package)
    return found


def changed_packages(old: Mapping[str, Any], new: Mapping[str, Any], keys: Iterable[str]) -> tuple[set[str], set[str]]:
    """The digests of the packages that only the one or only the other image has."""
    one, other = ({row["sha256"] for key in keys for row in manifest.get(key, ())} for manifest in (old, new))
    return one - other, other - one


def difference(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    keys: Sequence[str],
    files: tuple[Files, Files] = ({}, {}),
    unknown: Iterable[str] = (),
) -> ImageDifference:
    """From the manifest `old` to `new`. `keys`: of its sets. `files`: what the packages of either side bring that the
    other has not."""
    before, after = files
    named = ("format", "platform", "configured", "distribution", "provenance", "facts", "source_date_epoch")
    return ImageDifference(
        size=(old["size"], new["size"]),
        facts={name: (old.get(name), new.get(name)) for name in named if old.get(name) != new.get(name)},
        sets=tuple(_set_difference(key, packages_of(old, key), packages_of(new, key)) for key in keys),
        files_added={path: _size(after[path]) for path in sorted(after.keys() - before.keys())},
        files_removed={path: _size(before[path]) for path in sorted(before.keys() - after.keys())},
        files_changed=tuple(
            FileChange(path=path, size=_size(after[path]) - _size(before[path]))
            for path in sorted(before.keys() & after.keys())
            if list(before[path]) != list(after[path])
        ),
        unknown=tuple(sorted(unknown)),
    )


def _set_difference(
    key: str, old: Mapping[str, Sequence[ListedPackage]], new: Mapping[str, Sequence[ListedPackage]]
) -> SetDifference:
    added, removed, changed = [], [], []
    for name in sorted({*old, *new}):
        before, after = ({one.sha256: one for one in side.get(name, ())} for side in (old, new))
        gone = [one for digest, one in before.items() if digest not in after]
        come = [one for digest, one in after.items() if digest not in before]
        if len(gone) == len(come) == 1:
            size = come[0].size - gone[0].size
            changed.append(PackageChange(name=name, old=gone[0].version, new=come[0].version, size=size))
        else:
            added += come
            removed += gone
    total = [sum(one.size for rows in side.values() for one in rows) for side in (old, new)]
    return SetDifference(
        key=key, added=tuple(added), removed=tuple(removed), changed=tuple(changed), size=total[1] - total[0]
    )


def _size(row: Sequence[str | int]) -> int:
    return int(row[0])


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def signed(size: int) -> str:
    return f"{size / 1e6:+.1f} MB"


def _short(value: Any) -> str:
    """A value of a manifest in words."""
    if isinstance(value, Mapping):
        value = [f"{key} {_short(each)}" for key, each in value.items()]
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = "none" if value in (None, []) else text
    return text if len(text) <= 200 else f"{text[:199]}…"
