"""Which entries of a store living processes use: each lists its own in a file that it holds a lock on.

No clock decides on what is in use. Adding to a list and removing an entry exclude each other, by the lock file `GATE`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from photonbuild.files import locked

GATE = "gc"
PREFIX = "uses-"


@dataclass
class Uses:
    """What this process uses, and what it has found `intact`. The list ends with the process, however it ends."""

    intact: set[Path] = field(default_factory=set)
    _added: set[PurePath] = field(default_factory=set)
    _handle: int | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def add(self, store: Path, entry: PurePath) -> bool:
        """Say that an entry, by its path in the store, is in use from now on; was that not said before?"""
        with self._guard:
            if entry in self._added:
                return False
            with locked(gate(store), shared=True):
                if self._handle is None:
                    self._open(store)
                assert self._handle is not None
                os.write(self._handle, f"{entry}\n".encode())
            self._added.add(entry)
            return True

    def _open(self, store: Path) -> None:
        path = store / "locks" / f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
        self._handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        weakref.finalize(self, _end, path, self._handle)

    def sweep(self, store: Path) -> None:
        """Remove the lists of processes that are gone."""
        with locked(gate(store), wait=False) as free:
            if free:
                for path, alive in _lists(store):
                    if not alive:
                        path.unlink(missing_ok=True)


def _end(path: Path, handle: int) -> None:
    path.unlink(missing_ok=True)
    os.close(handle)


def gate(store: Path) -> Path:
    """The lock file that is held shared to add to a list, and alone to remove an entry."""
    return store / "locks" / GATE


def in_use(store: Path) -> set[str]:
    """The entries that living processes use, this one too. Ask while holding the gate alone."""
    used: set[str] = set()
    for path, alive in _lists(store):
        if alive:
            used |= set(path.read_text(encoding="utf-8").splitlines())
    return used


def _lists(store: Path) -> Iterator[tuple[Path, bool]]:
    for path in sorted((store / "locks").glob(f"{PREFIX}*")):
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                yield path, False
            except BlockingIOError:
                yield path, True
            finally:
                os.close(handle)
