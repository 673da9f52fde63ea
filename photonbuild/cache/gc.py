"""Garbage of a cache: entries by age and size, then the blobs that no entry names any more."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from photonbuild.cache.manifest import blob_path
from photonbuild.cache.places import UNFINISHED, Place
from photonbuild.errors import ConfigError

# Seconds for which a blob without an entry stays: another machine may be about to name it.
GRACE = 86400.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """An entry of a cache: its manifest's path, when it was written, and its blobs, path → size."""

    path: str
    written: float
    size: int
    blobs: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a cache holds. `loose`: files that belong to no entry, path → when written. `size`: bytes of all files."""

    rows: Sequence[Row]
    loose: Mapping[str, float]
    sizes: Mapping[str, int]

    @property
    def size(self) -> int:
        return sum(self.sizes.values())


def survey(place: Place, name: str) -> Survey:
    """Raises ConfigError where a cache cannot be listed, StoreError, OSError where it cannot be reached."""
    times = place.times()
    if times is None:
        hint = "look after it where it is kept: files of entries/ and blobs/ by their age"
        raise ConfigError(f"the cache {name} cannot list what it holds", hint=hint)
    sizes = {path: size for path, (size, _) in times.items()}
    rows, named = [], set()
    for path, (size, written) in sorted(times.items()):
        if path.startswith("entries/") and path.endswith(".json"):
            # What is not listed is not removed: whoever wrote the manifest may have named anything.
            blobs = {blob: sizes[blob] for blob in _blobs(place.read(path) or b"") if blob in sizes}
            rows.append(Row(path=path, written=written, size=size, blobs=blobs))
            named |= {path, *blobs}
    known = ("entries/", "blobs/")
    loose = {
        path: written
        for path, (_, written) in times.items()
        if path not in named and (path.startswith(known) or UNFINISHED in path)
    }
    return Survey(rows=rows, loose=loose, sizes=sizes)


def choose(found: Survey, *, older: float | None, size: int | None, now: float) -> tuple[list[str], int]:
    """The files to remove, entries before their blobs, and their bytes: what was written `older` seconds ago, and then
    the oldest until the rest fits into `size`."""
    kept = sorted(found.rows, key=lambda row: (row.written, row.path))
    users: dict[str, int] = {}
    for row in kept:
        for blob in row.blobs:
            users[blob] = users.get(blob, 0) + 1
    loose = [path for path, written in found.loose.items() if now - written > GRACE]
    total, entries, blobs = found.size - sum(found.sizes[path] for path in loose), [], []
    for row in kept:
        old = older is not None and now - row.written > older
        large = size is not None and total > size
        if not old and not large:
            continue
        entries.append(row.path)
        total -= row.size
        for blob, length in row.blobs.items():
            users[blob] -= 1
            if not users[blob]:
                blobs.append(blob)
                total -= length
    return [*entries, *blobs, *loose], found.size - total


def _blobs(envelope: bytes) -> list[str]:
    """The blobs that a manifest names. It is not verified: nothing but their names is taken from it."""
    try:
        payload: Any = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
        return [blob_path(str(part["sha256"])) for part in payload["parts"].values() if part.get("data") is None]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
