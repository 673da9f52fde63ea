"""One layer as a plain tar: decompressed while both of its digests are checked."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from pico.errors import PicoError
from pico.oci.archive import CHUNK, GZIP, ZSTD, Files, Layer

Decompress = Callable[[Path, Path], None]


def unpack(files: Files, layer: Layer, diff_id: str, target: Path, zstd: Decompress) -> None:
    """Write the layer's tar to `target`; `zstd` decompresses a file. Raises PicoError when a digest is wrong."""
    where = f"{files.name}: {layer.digest or layer.file}"
    handle = files.open(layer.file)
    if handle is None:
        raise PicoError("damaged: the layer is missing", where=where)
    packed, plain = hashlib.sha256(), hashlib.sha256()
    raw = target.with_suffix(".zst")
    compressed = False
    with handle, target.open("wb") as out:
        first = handle.read(4)
        stream = _counted(handle, first, packed.update)
        if first.startswith(ZSTD):
            compressed = True
            raw.write_bytes(b"")
            with raw.open("wb") as kept:
                for chunk in stream:
                    kept.write(chunk)
        else:
            for chunk in _gunzipped(stream, where) if first.startswith(GZIP) else stream:
                plain.update(chunk)
                out.write(chunk)
    if layer.digest is not None and f"sha256:{packed.hexdigest()}" != layer.digest:
        raise PicoError(f"damaged layer: it has the digest sha256:{packed.hexdigest()}", where=where)
    if compressed:
        zstd(raw, target)
        raw.unlink()
        with target.open("rb") as out_again:
            plain = hashlib.file_digest(out_again, "sha256")
    if f"sha256:{plain.hexdigest()}" != diff_id:
        raise PicoError(f"damaged layer: unpacked it is not {diff_id}", where=where)


def _counted(handle: IO[bytes], first: bytes, update: Callable[[bytes], None]) -> Iterator[bytes]:
    chunk = first
    while chunk:
        update(chunk)
        yield chunk
        chunk = handle.read(CHUNK)


def _gunzipped(stream: Iterator[bytes], where: str) -> Iterator[bytes]:
    """All members of a gzip stream; what follows them, padding, is left out."""
    machine, begun = zlib.decompressobj(wbits=31), False
    try:
        for chunk in stream:
            data = chunk
            while data:
                if machine.eof:
                    if not data.startswith(GZIP):
                        break
                    machine = zlib.decompressobj(wbits=31)
                begun = True
                yield machine.decompress(data)
                data = machine.unused_data
    except zlib.error as exc:
        raise PicoError(f"damaged layer: {exc}", where=where) from exc
    if not begun or not machine.eof:
        raise PicoError("damaged layer: it ends too early", where=where)
