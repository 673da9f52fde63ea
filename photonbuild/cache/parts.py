"""Parts of entries as bytes: JSON, and flat sets of files, packed by zstd; the same input gives the same bytes."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import zstandard

from photonbuild.cache.manifest import LARGEST
from photonbuild.errors import StoreError

# Files have plain names: nothing of a path, nothing hidden, nothing that is an option.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~^:-]*")
BLOCK = 64 << 10
FAST, SMALL = 3, 10
WINDOW = 27  # 128 MiB, as much as zstd(1) unpacks without being asked
MOST_JSON = 64 << 20


def pack_json(value: Any) -> tuple[bytes, int]:
    """(bytes, size of what is in them)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return zstandard.ZstdCompressor(level=19).compress(text), len(text)


def unpack_json(data: bytes, size: int) -> Any:
    """Raises StoreError when it is not of this size, or no JSON."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            text = reader.read(min(size, MOST_JSON) + 1)
        if len(text) == size:
            return json.loads(text)
    except (zstandard.ZstdError, ValueError, RecursionError):
        pass
    raise StoreError("it does not unpack to what its manifest says")


def pack_files(files: Mapping[str, Path], target: Path, *, level: int = FAST) -> int:
    """A tar of these files by their names; gives the size of the tar. Owners, modes and times are constants."""
    with compressed(target, level=level) as out, tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, path in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                tar.addfile(info, content)
    return out.written


def unpack_files(blob: Path, folder: Path, *, size: int) -> list[str]:
    """Write the files into the folder; gives their names. Raises StoreError for anything but plain files of plain
    names, and for more than `size` bytes."""
    names: list[str] = []
    try:
        with expanded(blob, size) as source, tarfile.open(fileobj=source, mode="r|") as tar:
            for member in tar:
                if not member.isreg() or not NAME.fullmatch(member.name) or member.name in names:
                    raise StoreError(f"it holds what is no plain file: {member.name[:80]!r}")
                content = tar.extractfile(member)
                assert content is not None
                with (folder / member.name).open("xb") as out:
                    _copy(content, out, member.size)
                names.append(member.name)
    except (zstandard.ZstdError, tarfile.TarError, EOFError, ValueError, OverflowError):
        raise StoreError("it does not unpack to what its manifest says") from None
    return names


def pack_file(source: Path, target: Path, *, level: int) -> int:
    """One file as it is; gives its size."""
    with compressed(target, level=level) as out, source.open("rb") as content:
        while block := content.read(1 << 20):
            out.write(block)
    return out.written


def unpack_file(blob: Path, target: Path, *, size: int) -> None:
    """Raises StoreError when it is not of this size."""
    try:
        with expanded(blob, size) as source, target.open("wb") as out:
            while block := source.read(1 << 20):
                out.write(block)
    except (zstandard.ZstdError, EOFError):
        raise StoreError("it does not unpack to what its manifest says") from None
    if target.stat().st_size != size:
        raise StoreError("it does not unpack to what its manifest says")


class Counted(io.RawIOBase):
    """What is written goes on, and is counted."""

    def __init__(self, inner: IO[bytes]) -> None:
        self.inner, self.written = inner, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.inner.write(data)
        self.written += len(data)
        return len(data)


@contextlib.contextmanager
def compressed(target: Path, *, level: int) -> Iterator[Counted]:
    """A file to write what is packed into. One thread: how many there are would change the bytes."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, enable_ldm=level >= SMALL, **({"window_log": WINDOW} if level >= SMALL else {}), write_checksum=True
    )
    packer = zstandard.ZstdCompressor(compression_params=parameters)
    with target.open("xb") as file, packer.stream_writer(file, closefd=False) as stream:
        yield Counted(stream)


@contextlib.contextmanager
def expanded(blob: Path, size: int) -> Iterator[Bounded]:
    """What is in a packed file, to be read once; more than `size` bytes raise StoreError."""
    with blob.open("rb") as file:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW).stream_reader(file)
        with contextlib.closing(Bounded(reader, min(size, LARGEST))) as bounded:
            yield bounded


class Bounded(io.RawIOBase):
    """So many bytes at the most are read: more raise StoreError."""

    def __init__(self, inner: Any, most: int) -> None:
        self.inner, self.left = inner, most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.inner.read(min(size, self.left + 1) if size >= 0 else self.left + 1)
        self.left -= len(data)
        if self.left < 0:
            raise StoreError("it unpacks to more than its manifest says")
        return data


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    """The bytes, with holes where blocks of zeros are: disks of machines are mostly empty."""
    left = size
    while left:
        block = source.read(min(BLOCK, left))
        if not block:
            raise EOFError
        left -= len(block)
        if any(block) if len(block) < BLOCK else block != ZEROS:
            target.write(block)
        else:
            target.seek(len(block), 1)
    target.truncate(size)


ZEROS = bytes(BLOCK)
