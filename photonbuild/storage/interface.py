"""What publishing asks of the place where a publication lies. Paths are relative to it, and plain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

LOCK = ".photonbuild.lock"


class Reader(Protocol):
    """A publication that can be read. `where`: its address, for messages. Every method raises StoreError."""

    @property
    def where(self) -> str: ...

    def read(self, path: str) -> bytes | None:
        """The content of a file that fits in memory; None where there is none."""

    def get(self, path: str, target: Path, size: int | None = None) -> bool:
        """Fetch a file; False where there is none. With a `size`, of one of another size what tells it from that."""


class Storage(Reader, Protocol):
    """A publication that can be written to. A file is seen whole or not at all."""

    def sizes(self, prefix: str) -> Mapping[str, int]:
        """The files below a folder, each with its size."""

    def digests(self, paths: Collection[str]) -> Mapping[str, str]:
        """The SHA-256 of those of these files that are there and can be told."""

    def put(self, tree: Path, paths: Iterable[str]) -> None:
        """Bring these files of the folder `tree` to the same paths, over what is there."""

    def copy(self, pairs: Mapping[str, str]) -> None:
        """Make files (new path → old path) with the content of others that are there, without sending it."""

    def write(self, path: str, data: bytes) -> None:
        """Write a small file, over what is there."""

    def replace(self, files: Mapping[str, bytes]) -> None:
        """Write all files of one folder that belong together, in this order and as near to at once as can be. What else
        is in the folder stays."""

    def remove(self, paths: Collection[str]) -> None:
        """Remove files, and folders that are empty then; those that are not there are none."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep other publishers away. It ends with the process, however that ends."""
