"""Retention: which snapshots, superseded metadata and packages go from where a repository is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from photonbuild.publication.index import read_packages
from photonbuild.publication.layout import INDEX, KINDS, LEDGER, SIGNATURE, Layout
from photonbuild.publication.ledger import Ledger, Publication, parse_ledger
from photonbuild.publication.repository import read_repository
from photonbuild.storage.interface import Storage


@dataclass(frozen=True, kw_only=True)
class Retention:
    """What stays: the newest `keep` states and snapshots, and all that was the newest within `age` seconds.

    With one of the two alone, the other keeps nothing. The state that clients read now always stays.
    """

    keep: int | None
    age: float | None

    def stays(self, rank: int, seconds: float) -> bool:
        """Does the state stay that is the `rank`-th newest, and was superseded so long ago?"""
        return (self.keep is not None and rank < self.keep) or (self.age is not None and seconds < self.age)


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What goes, or would: snapshots, states of repositories, files and their bytes."""

    snapshots: tuple[str, ...]
    states: int
    files: tuple[str, ...]
    bytes: int


def collect(storage: Storage, layout: Layout, retention: Retention, *, now: int, dry_run: bool) -> Collected:
    """Remove what need not stay, and what publishers that were killed have left. Raises StoreError, VerifyError."""
    with storage.lock():
        sizes = storage.sizes(layout.release)
        snapshots = _old_snapshots(storage, layout, retention, sizes, now)
        files = [path for name in snapshots for path in _files_of(layout, name, sizes)]
        states = 0
        for folder in layout.repositories().values():
            kept, gone = _states(storage, folder, retention, now)
            states += gone
            listed = _listed(storage, folder, kept.publications)
            files += [path for path in sizes if path.startswith(f"{folder}/") and path not in listed]
            if gone and not dry_run:
                storage.write(f"{folder}/{LEDGER}", kept.dump())
        if not dry_run:
            # An index goes before what it lists.
            storage.remove([path for path in files if path.endswith((INDEX, SIGNATURE))])
            storage.remove([path for path in files if not path.endswith((INDEX, SIGNATURE))])
    total = sum(sizes[path] for path in files)
    return Collected(snapshots=tuple(snapshots), states=states, files=tuple(files), bytes=total)


def snapshots_of(layout: Layout, paths: Sequence[str]) -> list[str]:
    """The names of the snapshots that these paths are of."""
    parts = (path.split("/") for path in paths)
    return sorted({part[1] for part in parts if len(part) > 3 and part[0] == layout.release and part[1] not in KINDS})


def _old_snapshots(
    storage: Storage, layout: Layout, retention: Retention, sizes: Mapping[str, int], now: int
) -> list[str]:
    """Those that need not stay. One is as old as its metadata; one that was never finished goes."""
    found = []
    for name in snapshots_of(layout, list(sizes)):
        repository = read_repository(storage, layout.repository("packages", name))
        revision = repository.index.revision if repository else ""
        found.append((int(revision) if revision.isdecimal() else 0, name))
    rows = enumerate(sorted(found, reverse=True))
    return sorted(name for rank, (moment, name) in rows if not moment or not retention.stays(rank, now - moment))


def _files_of(layout: Layout, snapshot: str, sizes: Mapping[str, int]) -> Iterator[str]:
    return (path for path in sizes if path.startswith(f"{layout.release}/{snapshot}/"))


def _states(storage: Storage, folder: str, retention: Retention, now: int) -> tuple[Ledger, int]:
    """The record without the states that go, and how many those are."""
    path = f"{folder}/{LEDGER}"
    ledger = parse_ledger(storage.read(path), f"{storage.where}/{path}")
    newest = ledger.publications[::-1]
    kept = [
        publication
        for rank, publication in enumerate(newest)
        if rank == 0 or retention.stays(rank, now - newest[rank - 1].time)
    ]
    return replace(ledger, publications=tuple(kept[::-1])), len(newest) - len(kept)


def _listed(storage: Storage, folder: str, publications: Sequence[Publication]) -> set[str]:
    """All that stays in a repository: what is read now, and what the metadata of these states lists."""
    files = {f"{folder}/{name}" for name in (LEDGER, INDEX, SIGNATURE)}
    current = read_repository(storage, folder)
    if current is not None:
        files |= current.files.keys() | current.index_files.keys()
    for publication in publications:
        files |= {f"{folder}/{path}" for path in publication.files}
        packed = storage.read(f"{folder}/{publication.primary}")
        if packed is not None:
            packages = read_packages(packed, f"{storage.where}/{folder}/{publication.primary}")
            files |= {f"{folder}/{package.path}" for package in packages}
    return files
