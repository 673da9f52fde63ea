"""What an image may be: bounds on all that its author decides, and tar archives read within them.

tarfile of the standard library trusts sizes in headers, which may be negative or larger than memory; what it raises for
one that makes no sense is not always its own error.
"""

from __future__ import annotations

import contextlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from pico.errors import PicoError

# What one header may have with all its extensions, as in Go's archive/tar, which docker and skopeo read layers with.
LARGEST_HEADER = 1 << 20
LONGEST_PATH, LONGEST_NAME = 4095, 255  # bytes, see path_resolution(7)
LARGEST_ID, LARGEST_DEVICE, LARGEST_TIME = 2**32 - 2, 8**7 - 1, 2**34
ERRORS = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one image: `size` in bytes when it is unpacked, `names` of files in all of its layers."""

    size: int = 64 << 30
    names: int = 2_000_000


class HeaderFile:
    """A file as tarfile reads it, with a bound on what it takes for one header."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle, self._taken = handle, 0

    def read(self, size: int) -> bytes:
        self._taken += abs(size)
        if size < 0 or self._taken > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of more than {LARGEST_HEADER} bytes")
        return self._handle.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        return self._handle.tell()

    def next_header(self) -> None:
        self._taken = 0


def members(handle: IO[bytes], where: str, most: int, what: str = "damaged layer") -> Iterator[tarfile.TarInfo]:
    """The headers of an uncompressed archive, checked; not more than `most`. Raises PicoError."""
    bounded = HeaderFile(handle)
    with damaged(where, what), opened(bounded) as tar:  # type: ignore[arg-type]
        count = 0
        while (member := tar.next()) is not None:
            bounded.next_header()
            count += 1
            if count > most:
                raise PicoError(f"more than {most} files", where=where)
            _check(member, where)
            tar.members.clear()  # type: ignore[attr-defined]
            yield member


def opened(handle: IO[bytes]) -> tarfile.TarFile:
    """Names and attributes that are no UTF-8 come back as they were."""
    return tarfile.open(fileobj=handle, mode="r:", encoding="utf-8", errors="surrogateescape")


@contextlib.contextmanager
def damaged(where: str, what: str = "damaged layer") -> Iterator[None]:
    """Whatever reading it raises means that it is damaged."""
    try:
        yield
    except ERRORS as exc:
        if isinstance(exc, OSError) and exc.errno is not None:  # this host's, like a full disk
            raise
        raise PicoError(f"{what}: {exc}", where=where) from exc


def _check(member: tarfile.TarInfo, where: str) -> None:
    """Raises PicoError for a header that no file system can have."""
    for what, text in (("name", member.name), ("link", member.linkname)):
        encoded = text.encode(errors="surrogateescape")
        longest = max(map(len, encoded.split(b"/")))
        if b"\0" in encoded or len(encoded) > LONGEST_PATH or (what == "name" and longest > LONGEST_NAME):
            raise PicoError(f"a {what} that cannot be: {text[:60]!r}", where=where)
    for what, value, most in (
        ("owner", member.uid, LARGEST_ID),
        ("group", member.gid, LARGEST_ID),
        ("time", member.mtime, LARGEST_TIME),
        ("device", member.devmajor, LARGEST_DEVICE),
        ("device", member.devminor, LARGEST_DEVICE),
        ("size", member.size, 2**62),
    ):
        least = -LARGEST_TIME if what == "time" else 0
        if not least <= value <= most:  # also for what is no number
            raise PicoError(f"'{member.name[:60]}' has a {what} that cannot be: {value}", where=where)
    if member.issym() and not member.linkname:
        raise PicoError(f"'{member.name[:60]}' is a link to nothing", where=where)
