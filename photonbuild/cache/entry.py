"""Entries of shared caches as a run knows them, and the caches that it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.cache.manifest import Kind, Manifest
from photonbuild.cache.places import Place
from photonbuild.cache.signature import PublicKey
from photonbuild.errors import PhotonbuildError, StoreError

Entry = tuple[Kind, str, str]
# The part that everybody wants who finds an entry: where it is small it lies in the manifest.
RECORD = "record"
# What makes a part: it writes the packed bytes to a path and gives the size of what is in them.
Packer = Callable[[Path], int]


class Void(PhotonbuildError):
    """An entry that was counted on cannot be had after all: what was concluded from it has to be found out again."""

    exit_code = StoreError.exit_code

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"{entry[0]} {entry[1]} {entry[2][:12]} cannot be had from a cache any more")
        self.entry = entry


@dataclass
class Cache:
    """One cache of a run. `down`: why it is not asked any more; `bad`: files of it that are not what they should be.

    Counted are entries and bytes that came from it, or went. `failed`: it was written to, and took nothing any more.
    """

    name: str
    place: Place
    writes: bool
    down: str | None = None
    bad: set[str] = field(default_factory=set)
    failed: bool = False
    hits: int = 0
    received: int = 0
    sent: int = 0
    pushed: int = 0

    def lose(self, reason: str) -> str | None:
        """It cannot be reached: what is to be said of that, the first time."""
        first, self.down = self.down is None, reason
        return f"cannot be reached, and is left out: {reason}" if first else None

    def refuse(self, reason: str) -> str | None:
        """It takes nothing, and may still be read: what is to be said of that, the first time."""
        first, self.writes, self.failed = self.writes, False, True
        return f"takes nothing: {reason}" if first else None


@dataclass(frozen=True, kw_only=True)
class Found:
    """An entry: its manifest, who signed it, the cache that it came from in this run, None where the store had it."""

    manifest: Manifest
    key: PublicKey
    cache: str | None

    @property
    def entry(self) -> Entry:
        return (self.manifest.kind, self.manifest.name, self.manifest.key)


def words(entry: Entry) -> str:
    return f"{entry[0]} {entry[1]} {entry[2][:12]}"
