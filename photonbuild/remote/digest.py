"""Digests, and what has one: a blob in memory or in a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from photonbuild.files import sha256_of


class Digest(NamedTuple):
    """SHA-256 in hexadecimal digits, and the size in bytes."""

    hash: str
    size: int

    def __str__(self) -> str:
        return f"{self.hash}/{self.size}"


def digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest(), len(data))


def of_message(message: Any) -> Digest:
    """From the API's message Digest."""
    return Digest(message.hash, message.size_bytes)


@dataclass(frozen=True, kw_only=True)
class Blob:
    """Content to be stored: `data`, or what the file `path` holds."""

    digest: Digest
    data: bytes = b""
    path: Path | None = None

    @classmethod
    def of(cls, data: bytes) -> Blob:
        return cls(digest=digest_of(data), data=data)

    @classmethod
    def file(cls, path: Path, digest: Digest | None = None) -> Blob:
        """`digest`, where it is known, is believed: a server checks it."""
        return cls(digest=digest or Digest(sha256_of(path), path.stat().st_size), path=path)

    def read(self) -> bytes:
        return self.data if self.path is None else self.path.read_bytes()
