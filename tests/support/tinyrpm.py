"""Package files without rpmbuild: lead, signature and header by hand, no payload.

Format: https://rpm-software-management.github.io/rpm/manual/format_v4.html
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

INT16, INT32, STRING, BINARY, STRINGS, I18N = 3, 4, 6, 7, 8, 9
Tag = tuple[int, int, list[int] | list[str] | bytes]


def write_rpm(
    folder: Path,
    name: str,
    *,
    version: str = "1.0",
    requires: Sequence[str] = (),
    provides: Sequence[str] = (),
    conflicts: Sequence[str] = (),
    recommends: Sequence[str] = (),
    files: Sequence[str] = (),
    arch: str = "x86_64",
) -> Path:
    """Write ``NAME-VERSION-1.ARCH.rpm`` into `folder`; it provides its name and `provides`."""
    own = [name, *provides]
    tags: list[Tag] = [
        (100, STRINGS, ["C"]),
        (1000, STRING, [name]),
        (1001, STRING, [version]),
        (1002, STRING, ["1"]),
        (1004, I18N, [f"Package {name}"]),
        (1005, I18N, ["."]),
        (1006, INT32, [1767225600]),
        (1009, INT32, [4096]),
        (1014, STRING, ["MIT"]),
        (1021, STRING, ["linux"]),
        (1022, STRING, [arch]),
        (1044, STRING, [f"{name}-{version}-1.src.rpm"]),
        (1124, STRING, ["cpio"]),
        (1125, STRING, ["gzip"]),
    ]
    tags += _dependencies(own, name=1047, flags=1112, version=1113, versions=[f"{version}-1"] + [""] * len(provides))
    tags += _dependencies(requires, name=1049, flags=1048, version=1050)
    tags += _dependencies(conflicts, name=1054, flags=1053, version=1055)
    tags += _dependencies(recommends, name=5046, flags=5048, version=5047)
    tags += _files(files)
    header = _header(tags, 63)
    digest = hashlib.sha1(header).hexdigest()
    signature = _header([(269, STRING, [digest]), (1000, INT32, [len(header)])], 62)
    signature += b"\0" * (-len(signature) % 8)
    nvr = f"{name}-{version}-1".encode()[:65]
    lead = struct.pack(">4sBBhh66shh16s", b"\xed\xab\xee\xdb", 3, 0, 0, 1, nvr, 1, 5, b"")
    path = folder / f"{name}-{version}-1.{arch}.rpm"
    path.write_bytes(lead + signature + header)
    return path


def _dependencies(
    names: Sequence[str], *, name: int, flags: int, version: int, versions: Sequence[str] | None = None
) -> list[Tag]:
    if not names:
        return []
    texts = list(versions or [""] * len(names))
    return [
        (name, STRINGS, list(names)),
        (flags, INT32, [8 if text else 0 for text in texts]),
        (version, STRINGS, texts),
    ]


def _files(files: Sequence[str]) -> list[Tag]:
    if not files:
        return []
    folders = sorted({path.rsplit("/", 1)[0] + "/" for path in files})
    count = len(files)
    return [
        (1028, INT32, [0] * count),
        (1030, INT16, [0o100755] * count),
        (1033, INT16, [0] * count),
        (1034, INT32, [1767225600] * count),
        (1035, STRINGS, [""] * count),
        (1036, STRINGS, [""] * count),
        (1037, INT32, [0] * count),
        (1039, STRINGS, ["root"] * count),
        (1040, STRINGS, ["root"] * count),
        (1116, INT32, [folders.index(path.rsplit("/", 1)[0] + "/") for path in files]),
        (1117, STRINGS, [path.rsplit("/", 1)[1] for path in files]),
        (1118, STRINGS, folders),
    ]


def _header(tags: Sequence[Tag], region: int) -> bytes:
    """A header whose first entry is the region `region` that spans all of it."""
    index, store = b"", b""
    for tag, kind, values in sorted(tags, key=lambda item: item[0]):
        width = {INT16: 2, INT32: 4}.get(kind, 1)
        store += b"\0" * (-len(store) % width)
        index += struct.pack(">iiii", tag, kind, len(store), len(values))
        for value in values:
            store += value.to_bytes(width, "big") if isinstance(value, int) else value.encode() + b"\0"
    total = len(tags) + 1
    first = struct.pack(">iiii", region, BINARY, len(store), 16)
    store += struct.pack(">iiii", region, BINARY, -16 * total, 16)
    return b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">ii", total, len(store)) + first + index + store
