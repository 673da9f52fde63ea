"""One layer as a plain tar: decompressed while both of its digests are checked."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pico.errors import PicoError
from pico.oci.archive import CHUNK, GZIP, ZSTD, Files, Layer
from pico.oci.bounds import damaged

# Decompresses the first path into the second, which becomes no larger than so many bytes.
Decompress = Callable[[Path, Path, int], None]


def unpack(files: Files, layer: Layer, diff_id: str, target: Path, zstd: Decompress, *, most: int) -> int:
    """Write the layer's tar to `target`; its size in bytes. `zstd` decompresses a file.

    Raises PicoError when a digest is wrong, or the tar is larger than `most` bytes.
    """
    where = f"{files.name}: {layer.digest or layer.file}"
    handle = files.open(layer.file)
    if handle is None:
        raise PicoError("damaged: the layer is missing", where=where)
    raw = target.with_suffix(".zst")
    with handle, damaged(where):
        source = _Counted(handle)
        first = source.peek(4)
        if first.startswith(ZSTD):
            with raw.open("wb") as kept:
                size, plain = _copy(source, kept, most, where)
        else:
            stream = gzip.GzipFile(fileobj=source, mode="rb") if first.startswith(GZIP) else source
            with target.open("wb") as out:
                size, plain = _copy(stream, out, most, where)
        packed = source.digest
    if layer.digest is not None and packed != layer.digest:
        raise PicoError(f"damaged layer: it has the digest {packed}", where=where)
    if first.startswith(ZSTD):
        zstd(raw, target, most)
        raw.unlink()
        with target.open("rb") as out_again:
            size, plain = target.stat().st_size, f"sha256:{hashlib.file_digest(out_again, 'sha256').hexdigest()}"
    if plain != diff_id:
        raise PicoError(f"damaged layer: unpacked it is not {diff_id}", where=where)
    return size


class _Counted(io.RawIOBase):
    """A stream of which the digest is known after it was read to its end."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle, self._seen, self._ahead = handle, hashlib.sha256(), b""

    def peek(self, size: int) -> bytes:
        self._ahead = self._handle.read(size)
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        data = self._ahead + self._handle.read(max(size - len(self._ahead), 0) if size >= 0 else -1)
        data, self._ahead = (data, b"") if size < 0 else (data[:size], data[size:])
        self._seen.update(data)
        return data

    @property
    def digest(self) -> str:
        while self.read(CHUNK):
            pass
        return f"sha256:{self._seen.hexdigest()}"


def _copy(source: io.RawIOBase | gzip.GzipFile, out: IO[bytes], most: int, where: str) -> tuple[int, str]:
    """Size and digest of what was copied."""
    size, seen = 0, hashlib.sha256()
    while chunk := source.read(CHUNK):
        size += len(chunk)
        if size > most:
            raise PicoError(f"the image is too large: a layer of more than {most >> 20} MiB", where=where)
        seen.update(chunk)
        out.write(chunk)
    return size, f"sha256:{seen.hexdigest()}"
