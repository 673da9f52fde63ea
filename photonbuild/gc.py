"""Garbage collection: which entries of the store go, the least recently used first, and none that is in use.

In use is what a living process lists (`photonbuild.uses`) or has mounted. The clock decides only on age: the last use
of an entry is the access time that `Store.use` gives its file of record. One that lies in the future counts as now.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.files import locked, read_sealed
from photonbuild.store import Store, last_use
from photonbuild.uses import gate, in_use

# Folders of entries, and how deep below them an entry lies. What is left out: go/, venv/, pico/, which are not ours.
ENTRIES = {
    "upstream": 1,
    "sources": 1,
    "debs": 1,
    "specs": 1,
    "packages": 2,
    "signed": 2,
    "images": 2,
    "failed": 1,
    "entries": 3,
    "shared": 4,
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry: its files by their paths in the store, the first of them by which it is known to be in use.

    `used`: seconds since 1970. `size`: bytes that it takes on the disk.
    """

    paths: tuple[str, ...]
    used: float
    size: int

    @property
    def name(self) -> str:
        return self.paths[0]


def entries(store: Store) -> list[Entry]:
    """All that can be collected."""
    found = [_entry(store, (path,)) for path in _paths(store)]
    return [*found, *(_entry(store, paths) for paths in _seeds(store))]


def choose(found: Iterable[Entry], *, older: float | None, size: int | None, now: float) -> list[Entry]:
    """What is to go: unused for `older` seconds, and as much more or, with both, no more of that than makes the rest
    fit into `size` bytes. Least recently used first."""
    rows = sorted(found, key=lambda entry: (min(entry.used, now), entry.name))
    total = sum(entry.size for entry in rows)
    chosen = []
    for entry in rows:
        if older is not None and now - entry.used < older:
            break
        if size is not None and total <= size:
            break
        chosen.append(entry)
        total -= entry.size
    return chosen


def collect(store: Store, chosen: Sequence[Entry], *, dry_run: bool) -> Iterator[tuple[Entry, bool]]:
    """Remove these entries, each but what is in use; yields each and whether it went (or would)."""
    for entry in chosen:
        # What takes long, to remove the files, is done when the gate is open again.
        with store.staging() as work, locked(gate(store.root)):
            # Once more, with nobody adding to what is in use, and nobody having used it meanwhile.
            free = not is_used(store, entry) and last_use(store.root / entry.name) <= entry.used
            if free and not dry_run:
                _take(store, entry, work)
        yield entry, free


def is_used(store: Store, entry: Entry) -> bool:
    """Does a living process use it?"""
    if entry.name in in_use(store.root):
        return True
    # Only seeds stay mounted by what outlives the command that listed them: machines of pico.
    return entry.name.startswith("seeds/") and any(entry.name in text for text in _mounts())


def _take(store: Store, entry: Entry, work: Path) -> None:
    for number, path in reversed(list(enumerate(entry.paths))):
        with contextlib.suppress(FileNotFoundError):
            os.rename(store.root / path, work / str(number))
        parent = (store.root / path).parent
        if parent.parent != store.root:
            with contextlib.suppress(OSError):
                parent.rmdir()


def _paths(store: Store) -> Iterator[str]:
    for folder, depth in ENTRIES.items():
        for path in sorted((store.root / folder).glob("/".join("*" * depth))):
            yield str(path.relative_to(store.root))


def _seeds(store: Store) -> Iterator[tuple[str, ...]]:
    """Each frozen seed with what is beside it, and the entries that give it for a lock."""
    folder = store.root / "seeds"
    named: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("seed.json")) if folder.is_dir() else ():
        if len(path.relative_to(folder).parts) <= 4 and (record := read_sealed(path)):
            named.setdefault(str(record.get("digest")), []).append(path.parent)
    for root in sorted(_roots(folder)):
        beside = sorted(root.parent.glob(f"{root.name}.*"))
        paths = [root, *beside, *(path for path in named.get(root.name, []) if root.parent in path.parents)]
        yield tuple(str(path.relative_to(store.root)) for path in paths)


def _roots(folder: Path) -> Iterator[Path]:
    for path in folder.glob("*/"):
        if _is_digest(path.name):
            yield path
        else:
            yield from (below for below in path.glob("*/") if _is_digest(below.name))


def _is_digest(name: str) -> bool:
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def _entry(store: Store, paths: Sequence[str]) -> Entry:
    used = last_use(store.root / paths[0])
    return Entry(paths=tuple(paths), used=used, size=sum(disk_size(store.root / path) for path in paths))


def disk_size(path: Path) -> int:
    """Bytes that a file or tree takes on the disk. What several names have in common counts once."""
    seen: set[tuple[int, int]] = set()
    total, todo = 0, [str(path)]
    while todo:
        name = todo.pop()
        try:
            facts = os.lstat(name)
            if (facts.st_dev, facts.st_ino) not in seen:
                seen.add((facts.st_dev, facts.st_ino))
                total += facts.st_blocks * 512
            if os.path.isdir(name) and not os.path.islink(name):
                todo += (entry.path for entry in os.scandir(name))
        except (FileNotFoundError, PermissionError):
            continue
    return total


def _mounts() -> Iterator[str]:
    """The mounts of all processes that we may look at."""
    seen = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            space = os.readlink(process / "ns/mnt")
            if space not in seen:
                seen.add(space)
                yield (process / "mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue


def seconds_of(text: str) -> float:
    """A time as 30d, 12h, 90m or 45s. Raises ValueError."""
    number, unit = _number(text, "smhdw")
    return number * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[unit]


def bytes_of(text: str) -> int:
    """A size as 20G, 500M or 64K, in powers of 1,024. Raises ValueError."""
    number, unit = _number(text.upper(), "KMGT")
    return int(number * 1024 ** ("KMGT".index(unit) + 1))


def _number(text: str, units: str) -> tuple[float, str]:
    found = re.fullmatch(rf"(\d+(?:\.\d+)?)([{units}])", text, re.ASCII)
    if found is None:
        raise ValueError(f"'{text}' is not a number and one of {', '.join(units)}")
    return float(found[1]), found[2]


def now() -> float:
    """The time of day, by which last uses are dated."""
    return time.time()
