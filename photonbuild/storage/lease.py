"""A lock in storage that knows nothing of processes: an object that its holder writes anew, and that nobody else
touches while it does. One that stays as it is for LEASE seconds is of a publisher that is gone.

It takes writes that are done only over a known version (If-Match, If-None-Match), as S3 has them.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from photonbuild.errors import StoreError
from photonbuild.storage.folder import busy

LEASE = 60.0
RENEW = 15.0
PAUSE = 3.0  # between two looks at another's


class Leases(Protocol):
    def read_lease(self) -> tuple[str, bytes] | None: ...

    def write_lease(self, data: bytes, *, over: str | None) -> str | None: ...

    def drop_lease(self, version: str) -> None: ...


@contextlib.contextmanager
def held(storage: Leases, where: str) -> Iterator[Keeper]:
    """Hold the lock; it is kept by a thread. Raises StoreError when another publisher is alive."""
    keeper = Keeper(storage, take(storage, where), where)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()


def take(storage: Leases, where: str) -> str:
    """The version of the lock that is ours now."""
    found = storage.read_lease()
    started = time.monotonic()
    while True:
        version = storage.write_lease(_words(), over=None) if found is None else None
        if version is not None:
            return version
        now = storage.read_lease()
        if found is not None and now is not None and now[0] != found[0]:
            raise busy(where, now[1].decode(errors="replace"))
        if found is not None and now is not None and time.monotonic() - started > LEASE:
            version = storage.write_lease(_words(), over=found[0])
            if version is not None:
                return version
            raise busy(where)
        found = now
        if found is not None:
            time.sleep(PAUSE)


class Keeper(threading.Thread):
    """Writes the lock anew while it is held."""

    def __init__(self, storage: Leases, version: str, where: str) -> None:
        super().__init__(name="lease", daemon=True)
        self.storage, self.version, self.where = storage, version, where
        self.lost = False
        self._over = threading.Event()
        self._turn = threading.Lock()

    def run(self) -> None:
        while not self._over.wait(RENEW):
            # What cannot be asked now is asked again: `confirm` decides.
            with contextlib.suppress(StoreError):
                self.confirm()

    def confirm(self) -> None:
        """Write the lock anew. Raises StoreError when it is ours no more: we have slept, and another took over."""
        with self._turn:
            version = None if self.lost else self.storage.write_lease(_words(), over=self.version)
            if version is None:
                self.lost = True
                raise StoreError("another publisher has taken over", where=self.where, hint="run this again")
            self.version = version

    def stop(self) -> None:
        self._over.set()
        self.join()
        if not self.lost:
            with contextlib.suppress(StoreError):
                self.storage.drop_lease(self.version)


def _words() -> bytes:
    """Who has it, and no two times the same."""
    who = {"host": socket.gethostname(), "process": os.getpid(), "token": secrets.token_hex(8)}
    return (json.dumps(who, sort_keys=True) + "\n").encode()
