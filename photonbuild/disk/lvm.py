"""Volume groups of LVM2 as its tools find them on disks: label, headers, and the metadata as text. Pure functions.

After LVM2's own sources: lib/label/label.h, lib/format_text/layout.h, format-text.c and export.c. Linear volumes only.
A physical volume begins with 1 MiB that is LVM's; from there on it is extents of 4 MiB, the tools' own defaults.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SECTOR, MIB = 512, 1 << 20
EXTENT = 4 * MIB
# Where a physical volume's data begins, and where its metadata area lies before that.
DATA_START = MIB
AREA_START = 4096
AREA_SIZE = DATA_START - AREA_START
FIRST_CRC = 0xF597A6CF
MAGIC = b" LVM2 x[5A%r0N*>"
IN_USE = 1  # of the extension's flags: the physical volume belongs to a group
# Of lvm(8), "Reserved names": what begins so, or has this in it, is a part of another volume.
RESERVED = re.compile(
    r"snapshot|pvmove|.*_([cimtv]data|[cirt]meta|[civ]orig(in)?|wcorig|[mr]image|mlog|pmspare|cvol|vorigin)"
)
# What tools make identifiers of.
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, kw_only=True)
class PhysicalVolume:
    """A partition or disk of `size` bytes that belongs to a group."""

    id: str
    size: int

    @property
    def extents(self) -> int:
        return extents_in(self.size)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """`count` extents of the physical volume of that number, from extent `start` on."""

    physical: int
    start: int
    count: int


@dataclass(frozen=True, kw_only=True)
class LogicalVolume:
    name: str
    id: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True)
class VolumeGroup:
    """A group with all that is in it. `host` and `time` (seconds since 1970) are those that it says it was made at."""

    name: str
    id: str
    physical: tuple[PhysicalVolume, ...]
    logical: tuple[LogicalVolume, ...]
    host: str
    time: int


def is_reserved(name: str) -> bool:
    """Do the tools refuse a logical volume of this name?"""
    return RESERVED.match(name) is not None


def extents_in(size: int) -> int:
    """Extents that a physical volume of `size` bytes has to give."""
    return max(0, (size - DATA_START) // EXTENT)


def extents_for(size: int) -> int:
    """Extents that a logical volume of at least `size` bytes takes."""
    return -(-size // EXTENT)


def identifier(identity: str, what: str) -> str:
    """One of LVM's own UUIDs, 32 letters and digits in seven groups, the same for the same content."""
    number, letters = int.from_bytes(hashlib.sha256(f"{identity} {what}".encode()).digest()), ""
    while len(letters) < 32:
        number, digit = divmod(number, len(LETTERS))
        letters += LETTERS[digit]
    ends = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(letters[start:end] for start, end in itertools.pairwise(ends))


def allocate(volumes: Mapping[str, int], physical: Sequence[int]) -> dict[str, tuple[Segment, ...]]:
    """Where each volume of so many extents lies: in one piece where it fits, else in what is left of each.

    `physical` are the extents that each physical volume has. Raises ValueError when they are too few.
    """
    used, placed = [0] * len(physical), {}
    for name, count in volumes.items():
        whole = [number for number, extents in enumerate(physical) if extents - used[number] >= count]
        segments = []
        for number in whole[:1] or range(len(physical)):
            taken = min(count, physical[number] - used[number])
            if taken > 0:
                segments.append(Segment(physical=number, start=used[number], count=taken))
            used[number] += taken
            count -= taken
        if count:
            raise ValueError(f"no room for '{name}': {count * EXTENT // MIB} MiB are missing")
        placed[name] = tuple(segments)
    return placed


def header(group: VolumeGroup, number: int) -> bytes:
    """What stands before the data of the physical volume of that number: its first `DATA_START` bytes."""
    text = metadata(group).encode() + b"\0"
    room = AREA_SIZE - SECTOR
    # The tools write the next text behind this one, and never over it.
    if 2 * len(text) > room:
        raise ValueError(f"the description of '{group.name}' is longer than half of {room} bytes")
    start = bytes(SECTOR) + _label(group.physical[number])
    area = _area_header(text)
    return (start.ljust(AREA_START, b"\0") + area.ljust(SECTOR, b"\0") + text).ljust(DATA_START, b"\0")


def metadata(group: VolumeGroup) -> str:
    """The text that describes the group; what a copy of `vgcfgbackup` has in another order."""
    lines = [
        f"{group.name} {{", f'id = "{group.id}"', "seqno = 1", 'format = "lvm2"',
        'status = ["RESIZEABLE", "READ", "WRITE"]', "flags = []", f"extent_size = {EXTENT // SECTOR}",
        "max_lv = 0", "max_pv = 0", "metadata_copies = 0", "", "physical_volumes {",
    ]  # fmt: skip
    for number, volume in enumerate(group.physical):
        lines += [
            "", f"pv{number} {{", f'id = "{volume.id}"', 'device = "[unknown]"', "", 'status = ["ALLOCATABLE"]',
            "flags = []", f"dev_size = {volume.size // SECTOR}", f"pe_start = {DATA_START // SECTOR}",
            f"pe_count = {volume.extents}", "}",
        ]  # fmt: skip
    lines.append("}")
    if group.logical:
        lines += ["", "logical_volumes {", *(line for volume in group.logical for line in _logical(group, volume)), "}"]
    lines += [
        "", "}", 'contents = "Text Format Volume Group"', "version = 1", "", 'description = "Written as an image"', "",
        f'creation_host = "{group.host}"', f"creation_time = {group.time}", "",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _logical(group: VolumeGroup, volume: LogicalVolume) -> list[str]:
    lines = [
        "", f"{volume.name} {{", f'id = "{volume.id}"', 'status = ["READ", "WRITE", "VISIBLE"]', "flags = []",
        f"creation_time = {group.time}", f'creation_host = "{group.host}"', f"segment_count = {len(volume.segments)}",
    ]  # fmt: skip
    start = 0
    for number, segment in enumerate(volume.segments, 1):
        lines += [
            "", f"segment{number} {{", f"start_extent = {start}", f"extent_count = {segment.count}", "",
            'type = "striped"', "stripe_count = 1", "", "stripes = [", f'"pv{segment.physical}", {segment.start}',
            "]", "}",
        ]  # fmt: skip
        start += segment.count
    return [*lines, "}"]


def _label(volume: PhysicalVolume) -> bytes:
    """The sector with label_header, pv_header and pv_header_extension: where data begin, and where metadata are."""
    physical = struct.pack("<32sQ", volume.id.replace("-", "").encode(), volume.size)
    # Data to the end of the device, whatever that is; both lists end with an empty entry.
    physical += struct.pack("<QQQQ", DATA_START, 0, 0, 0)
    physical += struct.pack("<QQQQ", AREA_START, AREA_SIZE, 0, 0)
    physical += struct.pack("<IIQQ", 2, IN_USE, 0, 0)
    after = (struct.pack("<I8s", 32, b"LVM2 001") + physical).ljust(SECTOR - 20, b"\0")
    return struct.pack("<8sQI", b"LABELONE", 1, checksum(after)) + after


def _area_header(text: bytes) -> bytes:
    """mda_header: the text begins right after this sector."""
    place = struct.pack("<QQII", SECTOR, len(text), checksum(text), 0)
    after = (struct.pack("<16sIQQ", MAGIC, 1, AREA_START, AREA_SIZE) + place).ljust(SECTOR - 4, b"\0")
    return struct.pack("<I", checksum(after)) + after


def checksum(data: bytes) -> int:
    """LVM2's lib/misc/crc.c: the usual polynomial, a start of its own, and no inversion."""
    return zlib.crc32(data, FIRST_CRC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
