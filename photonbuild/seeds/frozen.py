"""A seed that is ready for use, and what lies in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LINKS = 40  # as many as the kernel follows


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the tree of a seed lies."""

    root: Path

    def bring(self) -> Path:
        return self.root

    def holds(self, path: str) -> bool:
        return is_inside(self.root, path)

    @property
    def is_there(self) -> bool:
        return True


class FrozenSeed:
    """A seed ready for use: `root` is read-only by convention, `elf` the sha256 of every ELF file in it.

    The tree of one that a shared cache has is fetched when its `root` is asked for: where nothing runs in it, never.
    """

    def __init__(
        self, *, name: str, digest: str, elf: frozenset[str], root: Path | None = None, place: Place | None = None
    ) -> None:
        assert root is not None or place is not None
        self.name, self.digest, self.elf = name, digest, elf
        self._place: Place = place if place is not None else _Place(root=root or Path())

    @property
    def root(self) -> Path:
        return self._place.bring()

    @property
    def is_there(self) -> bool:
        return self._place.is_there

    def holds(self, path: str) -> bool:
        """Is there something of this absolute path in it?"""
        return self._place.holds(path)


class Place(Protocol):
    """The tree of a seed, or how it is had."""

    def bring(self) -> Path: ...

    def holds(self, path: str) -> bool: ...

    @property
    def is_there(self) -> bool: ...


def is_inside(root: Path, path: str) -> bool:
    """Is there something of this absolute path in the tree `root`? Links are followed within it, as chroot(2) would."""

    def link(place: str) -> str | None:
        whole = root / place
        return os.readlink(whole) if whole.is_symlink() else None

    return resolves(path, link, lambda place: (root / place).exists())


def resolves(path: str, link: Callable[[str], str | None], exists: Callable[[str], bool]) -> bool:
    """The same, told by the target of each link, None of what is none, and by what exists, by paths in the tree."""
    todo, place, links = path.split("/")[::-1], "", 0
    while todo:
        word = todo.pop()
        above = place.rpartition("/")[0]
        if word in ("", "."):
            continue
        if word == "..":
            place = above
            continue
        below = f"{place}/{word}" if place else word
        target = link(below)
        if target is None:
            place = below
            continue
        if (links := links + 1) > LINKS:
            return False
        if target.startswith("/"):
            place = ""
        todo += target.split("/")[::-1]
    return exists(place)
