"""What is where on a disk image: a GUID partition table for BIOS and UEFI, with identifiers named after the content.

Types are those of the Discoverable Partitions Specification; GRUB's own one is in its manual, "BIOS installation".
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Disk

MIB = 1 << 20
SECTOR = 512
# Room for the primary table before the first partition, and for the backup table after the last one.
MARGIN = MIB
BIOS_BOOT_SIZE = MIB
BIOS_BOOT, ESP, ROOT, VAR = "bios", "esp", "root", "var"
TYPES = {
    BIOS_BOOT: "21686148-6449-6E6F-744E-656564454649",
    ESP: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    ROOT: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    VAR: "4D21B016-B534-45C2-A9FB-5C16E091FD2D",
}


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One partition: `start` and `size` in bytes, its own UUID and that of the file system in it."""

    name: str
    start: int
    size: int
    uuid: str
    filesystem_uuid: str

    @property
    def type(self) -> str:
        return TYPES[self.name]


def named_uuid(identity: str, what: str) -> str:
    """A UUID that is the same for the same content, `identity` being a digest of it."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{identity} {what}"))


def partitions(disk: Disk, identity: str) -> tuple[Partition, ...]:
    """BIOS boot, ESP, root and, where the disk has one, /var. The last takes what is left, and grows at first boot."""
    sizes = {BIOS_BOOT: BIOS_BOOT_SIZE, ESP: disk.esp_size, ROOT: disk.root_size or 0}
    if disk.var:
        sizes[VAR] = 0
    last = VAR if disk.var else ROOT
    sizes[last] = disk.size - 2 * MARGIN - sum(size for name, size in sizes.items() if name != last)
    result, start = [], MARGIN
    for name, size in sizes.items():
        result.append(
            Partition(
                name=name,
                start=start,
                size=size,
                uuid=named_uuid(identity, f"partition {name}"),
                filesystem_uuid=named_uuid(identity, f"file system {name}"),
            )
        )
        start += size
    return tuple(result)


def partition(table: Sequence[Partition], name: str) -> Partition:
    return next(part for part in table if part.name == name)


def sfdisk_script(table: Sequence[Partition], identity: str) -> str:
    """Input of sfdisk(8) for an empty disk."""
    lines = ["label: gpt", f"label-id: {named_uuid(identity, 'disk').upper()}", f"first-lba: {MARGIN // SECTOR}"]
    for part in table:
        lines.append(
            f"start={part.start // SECTOR}, size={part.size // SECTOR}, type={part.type}, "
            f'uuid={part.uuid.upper()}, name="{part.name}"'
        )
    return "\n".join(lines) + "\n"
