"""What of a file is not zero, by its content alone: where a file system keeps holes is its own business.

Archive: GNU's old format with its sparse files, which tar(1) writes only of a file that lies sparse on its disk.
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

import errno
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

BLOCK = 4096
CHUNK = 1 << 20
ZEROS = bytes(BLOCK)
RECORD, RECORDS = 512, 20
IN_HEADER, IN_EXTENSION = 4, 21  # sparse entries
SPARSE_AT, CHECKSUM_AT, CHECKSUM_LENGTH = 386, 148, 8


def data_ranges(path: Path) -> list[tuple[int, int]]:
    """Offset and length of what is not zero in whole blocks of `BLOCK` bytes, as few ranges as possible."""
    found: list[tuple[int, int]] = []
    with path.open("rb", buffering=0) as file:
        for offset, chunk in _chunks(file):
            for place in range(0, len(chunk), BLOCK):
                block = chunk[place : place + BLOCK]
                if block == ZEROS[: len(block)]:
                    continue
                start = offset + place
                if found and sum(found[-1]) == start:
                    found[-1] = (found[-1][0], found[-1][1] + len(block))
                else:
                    found.append((start, len(block)))
    return found


def _chunks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The file in chunks, those left out that lie in a hole: they are zero, but not all that is zero is a hole."""
    offset, size = 0, os.fstat(file.fileno()).st_size
    while offset < size:
        try:
            offset = os.lseek(file.fileno(), offset, os.SEEK_DATA) // CHUNK * CHUNK
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        file.seek(offset)
        yield offset, file.read(CHUNK)
        offset += CHUNK


def copy_data(source: Path, start: int, size: int, target: Path, place: int) -> None:
    """Copy `size` bytes of `source` from `start` on to `place` in the file `target`, but for what is zero there."""
    with source.open("rb") as content, target.open("r+b") as handle:
        for offset, length in data_ranges(source):
            first, end = max(offset, start), min(offset + length, start + size)
            for at in range(first, end, CHUNK):
                content.seek(at)
                handle.seek(place + at - start)
                handle.write(content.read(min(CHUNK, end - at)))


def write_sparse_tar(target: Path, name: str, source: Path, epoch: int) -> None:
    """An archive of one file of mode 0644 that belongs to root; its holes are those of `data_ranges`."""
    ranges, size = data_ranges(source), source.stat().st_size
    with target.open("wb") as archive, source.open("rb") as content:
        for block in sparse_header(name, size, ranges, epoch):
            archive.write(block)
        for offset, length in ranges:
            content.seek(offset)
            while length:
                data = content.read(min(length, CHUNK))
                archive.write(data)
                length -= len(data)
        archive.write(bytes(-archive.tell() % RECORD + 2 * RECORD))
        archive.write(bytes(-archive.tell() % (RECORD * RECORDS)))


def sparse_header(name: str, size: int, ranges: Sequence[tuple[int, int]], epoch: int) -> list[bytes]:
    """The header, type S, and its extensions. Pure."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = b"S", 0o644, epoch
    info.size = sum(length for _, length in ranges)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    # The last entry says where the file ends.
    entries = [number(offset) + number(length) for offset, length in [*ranges, (size, 0)]]
    first, rest = entries[:IN_HEADER], entries[IN_HEADER:]
    fields = b"".join(first).ljust(24 * IN_HEADER, b"\0") + bytes([bool(rest)]) + number(size)
    header[SPARSE_AT : SPARSE_AT + len(fields)] = fields
    checksum = slice(CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_LENGTH)
    header[checksum] = b" " * CHECKSUM_LENGTH
    header[checksum] = b"%06o\0 " % sum(header)
    blocks = [bytes(header)]
    while rest:
        more, rest = rest[:IN_EXTENSION], rest[IN_EXTENSION:]
        blocks.append((b"".join(more).ljust(24 * IN_EXTENSION, b"\0") + bytes([bool(rest)])).ljust(RECORD, b"\0"))
    return blocks


def number(value: int) -> bytes:
    """A field of twelve bytes: octal, and from 8 GiB on binary. Pure."""
    return b"%011o\0" % value if value < 1 << 33 else (value | 1 << 95).to_bytes(12, "big")
