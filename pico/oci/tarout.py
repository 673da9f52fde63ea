"""Writing a tar archive of which every byte is ours: ustar headers, PAX records only where ustar has no room.

The standard library cannot write extended attributes that are no text. Format: POSIX.1-2017, pax; attributes as
``SCHILY.xattr.NAME``, which star, libarchive and mkfs.erofs read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

BLOCK = 512
KINDS = {"file": b"0", "link": b"1", "symlink": b"2", "char": b"3", "block": b"4", "dir": b"5", "fifo": b"6"}
LARGEST_SIZE, LARGEST_ID, LARGEST_TIME = 8**11 - 1, 8**7 - 1, 8**11 - 1
XATTR = b"SCHILY.xattr."


def header(
    path: bytes,
    kind: str,
    *,
    mode: int,
    uid: int,
    gid: int,
    mtime: int,
    size: int = 0,
    target: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """The header blocks of one member. `path` is relative, without a slash at its end."""
    records: list[tuple[bytes, bytes]] = []
    name = path + b"/" if kind == "dir" else path
    numbers = {"size": size, "uid": uid, "gid": gid, "mtime": mtime}
    limits = {"size": LARGEST_SIZE, "uid": LARGEST_ID, "gid": LARGEST_ID, "mtime": LARGEST_TIME}
    if len(name) > 100:
        records.append((b"path", name))
    if len(target) > 100:
        records.append((b"linkpath", target))
    for key, limit in limits.items():
        if not 0 <= numbers[key] <= limit:
            records.append((key.encode(), b"%d" % numbers[key]))
            numbers[key] = 0
    for attribute, value in sorted((xattrs or {}).items()):
        records.append((XATTR + attribute, value))
    blocks = b""
    if records:
        body = b"".join(_record(key, value) for key, value in records)
        blocks = _ustar(b"PaxHeaders/0", b"x", 0o644, 0, 0, 0, len(body)) + padded(body)
    device_numbers = device if kind in ("char", "block") else (0, 0)
    return blocks + _ustar(
        name[:100], KINDS[kind], mode, numbers["uid"], numbers["gid"], numbers["mtime"], numbers["size"],
        target[:100], device_numbers,
    )  # fmt: skip


def padded(body: bytes) -> bytes:
    """Filled up to whole blocks."""
    return body + bytes(-len(body) % BLOCK)


def end(out: IO[bytes]) -> None:
    """The two empty blocks that end an archive."""
    out.write(bytes(2 * BLOCK))


def _record(key: bytes, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE\\n``, where the length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if rest + len(str(length)) != length:
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _ustar(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    mtime: int,
    size: int,
    target: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    fields = [
        name.ljust(100, b"\0"),
        b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode & 0o7777, uid, gid, size, mtime),
        b" " * 8,
        kind,
        target.ljust(100, b"\0"),
        b"ustar\x0000",
        bytes(64),
        b"%07o\0%07o\0" % device,
        bytes(167),
    ]
    block = b"".join(fields)
    assert len(block) == BLOCK
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
