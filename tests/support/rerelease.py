"""A package file under the next release: its header with other numbers, its payload as it is, unsigned.

What a rebuild would give, in a blink, scripts and files included. Format:
https://rpm-software-management.github.io/rpm/manual/format_v4.html
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LEAD = 96
NAME, VERSION, RELEASE, REGION, SIGNATURES = 1000, 1001, 1002, 63, 62
STRING, STRINGS, I18N, BINARY = 6, 8, 9, 7
WIDTH = {2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
# Versions of what is provided, required, obsoleted, conflicted with and recommended.
VERSIONS = (1113, 1050, 1115, 1055, 5047)


@dataclass(frozen=True)
class Entry:
    """A tag's data as it lies in the store."""

    tag: int
    kind: int
    count: int
    data: bytes

    @property
    def texts(self) -> list[str]:
        return [text.decode() for text in self.data.split(b"\0")[: self.count]]


def entries(data: bytes, start: int) -> tuple[list[Entry], int]:
    """The tags of the header at `start`, without its region, and where it ends."""
    count, size = struct.unpack(">ii", data[start + 8 : start + 16])
    store = start + 16 + 16 * count
    found = []
    for number in range(count):
        tag, kind, offset, length = struct.unpack(">iiii", data[start + 16 + 16 * number :][:16])
        at = store + offset
        if kind in WIDTH:
            end = at + WIDTH[kind] * length
        else:
            end = at
            for _ in range(length):
                end = data.index(b"\0", end) + 1
        if tag not in (REGION, SIGNATURES):
            found.append(Entry(tag, kind, length, data[at:end]))
    return found, store + size


def header(tags: list[Entry], region: int) -> bytes:
    """The tags as a header whose first entry is `region`, which spans all of it."""
    index, store = b"", b""
    for entry in sorted(tags, key=lambda each: each.tag):
        store += b"\0" * (-len(store) % WIDTH.get(entry.kind, 1))
        index += struct.pack(">iiii", entry.tag, entry.kind, len(store), entry.count)
        store += entry.data
    total = len(tags) + 1
    first = struct.pack(">iiii", region, BINARY, len(store), 16)
    store += struct.pack(">iiii", region, BINARY, -16 * total, 16)
    return b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">ii", total, len(store)) + first + index + store


def numbers(rpm: Path) -> str:
    """The package's VERSION-RELEASE."""
    data = rpm.read_bytes()
    _, end = entries(data, LEAD)
    tags = {entry.tag: entry for entry in entries(data, end + -end % 8)[0] if entry.tag in (VERSION, RELEASE)}
    return f"{tags[VERSION].texts[0]}-{tags[RELEASE].texts[0]}"


def rerelease(rpm: Path, folder: Path, renamed: Mapping[str, str]) -> Path:
    """A copy in `folder` in which every VERSION-RELEASE that `renamed` knows is its value there, its own among them."""
    data = rpm.read_bytes()
    _, end = entries(data, LEAD)
    end += -end % 8
    tags, payload = entries(data, end)
    own = renamed[numbers(rpm)]
    changed = []
    for entry in tags:
        if entry.tag == RELEASE:
            entry = Entry(RELEASE, STRING, 1, own.rpartition("-")[2].encode() + b"\0")
        elif entry.tag in VERSIONS:
            texts = [renamed.get(text, text) for text in entry.texts]
            entry = Entry(entry.tag, entry.kind, entry.count, b"".join(text.encode() + b"\0" for text in texts))
        changed.append(entry)
    made = header(changed, REGION)
    digests = [
        Entry(269, STRING, 1, hashlib.sha1(made).hexdigest().encode() + b"\0"),
        Entry(273, STRING, 1, hashlib.sha256(made).hexdigest().encode() + b"\0"),
        Entry(1000, 4, 1, struct.pack(">i", len(made) + len(data) - payload)),
    ]
    signature = header(digests, SIGNATURES)
    name = rpm.name.replace(numbers(rpm), own)
    (folder / name).write_bytes(data[:LEAD] + signature + b"\0" * (-len(signature) % 8) + made + data[payload:])
    return folder / name
