"""Older packages that a repository goes on listing: for clients that go back to one, and for those that lag behind."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import VerifyError
from photonbuild.files import copy_file, sha256_of
from photonbuild.packages.repo import evr_of
from photonbuild.packages.versions import compare
from photonbuild.publication.gc import Retention
from photonbuild.publication.index import ListedPackage, read_packages
from photonbuild.publication.layout import LEDGER, Layout, by_kind, package_folder
from photonbuild.publication.ledger import parse_ledger
from photonbuild.publication.openpgp import Key, OpenPGP
from photonbuild.publication.repository import Repository, read_repository
from photonbuild.publication.verify import fetch_listed, index_faults, package_faults
from photonbuild.storage.interface import Reader


@dataclass(frozen=True, kw_only=True)
class Older:
    """A package that was published before: its signed file, and the digest of its file before it was signed."""

    path: Path
    content: str


def still_listed(
    published: Iterable[ListedPackage],
    newest: Mapping[str, str],
    since: Mapping[str, int],
    retention: Retention,
    *,
    now: int,
) -> list[ListedPackage]:
    """Those of `published` that stay beside the versions of today, `newest` by NAME.ARCH.

    One is superseded when the next newer one was first published, by `since`. What is newer than today's is withdrawn,
    and what is not built any more goes. `retention` counts today's version as the first.
    """
    groups: dict[str, list[ListedPackage]] = {}
    for package in published:
        name = f"{package.name}.{package.arch}"
        if name in newest and compare(package.version, newest[name]) < 0:
            groups.setdefault(name, []).append(package)
    found = []
    for name, packages in groups.items():
        packages.sort(key=functools.cmp_to_key(lambda one, other: compare(other.version, one.version)))
        next_one = since.get(_nevra(name, newest[name]), now)
        for rank, package in enumerate(packages, 1):
            if retention.stays(rank, now - next_one):
                found.append(package)
            next_one = since.get(package.nevra, next_one)
    return sorted(found, key=lambda package: package.nevra)


def older_packages(
    source: Reader,
    layout: Layout,
    rpms: Sequence[Path],
    *,
    key: Key,
    tools: OpenPGP,
    retention: Retention,
    tree: Path,
    work: Path,
    now: int,
) -> Mapping[str, Sequence[Older]]:
    """By kind, what the publication at `source` lists and `rpms` supersede, as far as `retention` keeps it.

    The files are copied from `tree`, the publication that was made here before, or fetched, to the empty folder `work`;
    all are checked. Only what `key` has signed can be listed beside what it signs. Raises VerifyError, StoreError.
    """
    found: dict[str, Sequence[Older]] = {}
    for kind, paths in by_kind(rpms).items():
        repository = read_repository(source, layout.repository(kind))
        if repository is None:
            continue
        where = f"{source.where}/{repository.folder}"
        _require(index_faults(repository, key, tools), where)
        ledger = parse_ledger(source.read(f"{repository.folder}/{LEDGER}"), f"{where}/{LEDGER}")
        mine = [item for item in _packages(source, repository, work) if item.path.startswith(f"{package_folder(key)}/")]
        names = {path.name for path in paths}
        other = [item for item in mine if item.file not in names and item.nevra in ledger.content]
        chosen = still_listed(other, _newest(paths, other), ledger.since, retention, now=now)
        (folder := work / kind).mkdir()
        for item in chosen:
            _get(source, tree, repository, item, folder / item.file)
        _require(package_faults(folder, {item.file: item.nevra for item in chosen}, key, tools), where)
        found[kind] = [Older(path=folder / item.file, content=ledger.content[item.nevra]) for item in chosen]
    return found


def _packages(source: Reader, repository: Repository, work: Path) -> Sequence[ListedPackage]:
    """What the index, whose signature is good, lists."""
    primary, target = repository.index.metadata["primary"], work / "primary"
    path = f"{repository.folder}/{primary.path}"
    fault = fetch_listed(source, path, primary, target)
    _require([fault] if fault else [], source.where)
    return read_packages(target.read_bytes(), f"{source.where}/{path}")


def _newest(paths: Iterable[Path], other: Iterable[ListedPackage]) -> Mapping[str, str]:
    """The versions of ours, by NAME.ARCH, of those packages that have another one there."""
    wanted = {f"{item.name}.{item.arch}" for item in other}
    found: dict[str, str] = {}
    for path in paths:
        stem, _, arch = path.name.removesuffix(".rpm").rpartition(".")
        name = f"{stem.rsplit('-', 2)[0]}.{arch}"
        if name in wanted:
            evr = evr_of(path)
            if name not in found or compare(found[name], evr) < 0:
                found[name] = evr
    return found


def _get(source: Reader, tree: Path, repository: Repository, item: ListedPackage, target: Path) -> None:
    path = f"{repository.folder}/{item.path}"
    before = tree / path
    if before.is_file() and sha256_of(before) == item.sha256:
        copy_file(before, target)
        return
    fault = fetch_listed(source, path, item, target)
    _require([fault] if fault else [], source.where)


def _require(faults: Sequence[str], where: str) -> None:
    if faults:
        raise VerifyError(
            "older packages cannot be listed",
            where=where,
            detail="\n".join(faults[:100]),
            hint="photonbuild repo verify says what is wrong there; without --over nothing of it is listed",
        )


def _nevra(name: str, evr: str) -> str:
    package, _, arch = name.rpartition(".")
    return f"{package}-{evr}.{arch}"
