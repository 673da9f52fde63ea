"""A GUID partition table for BIOS and UEFI: types, alignment, and what sfdisk(8) is told. Pure functions.

Types are those of the Discoverable Partitions Specification; GRUB's own one is in its manual, "BIOS installation".
The standard library only: the installer on the live medium uses this module as well as the makers of images.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

MIB = 1 << 20
# Logical sectors of image files, and of most disks.
SECTOR = 512
# Room for the primary table before the first partition, and for the backup table after the last one.
MARGIN = MIB
BIOS_BOOT_SIZE = MIB
BIOS_BOOT, ESP, ROOT, VAR, LINUX, SWAP, LVM = "bios", "esp", "root", "var", "linux", "swap", "lvm"
TYPES = {
    BIOS_BOOT: "21686148-6449-6E6F-744E-656564454649",
    ESP: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    ROOT: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    VAR: "4D21B016-B534-45C2-A9FB-5C16E091FD2D",
    LINUX: "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    SWAP: "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    LVM: "E6D6D379-F507-44C2-A23C-238F2A3DF928",
}


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One partition: `start` and `size` in bytes, its own UUID and that of the file system in it.

    `kind` is a key of TYPES, by default the name.
    """

    name: str
    start: int
    size: int
    uuid: str
    filesystem_uuid: str
    kind: str = ""

    @property
    def type(self) -> str:
        return TYPES[self.kind or self.name]


def named_uuid(identity: str, what: str) -> str:
    """A UUID that is the same for the same content, `identity` being a digest of it."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{identity} {what}"))


def sfdisk_script(table: Sequence[Partition], identity: str, sector: int = SECTOR) -> str:
    """Input of sfdisk(8) for an empty disk with logical sectors of `sector` bytes, which it counts in."""
    lines = ["label: gpt", f"label-id: {named_uuid(identity, 'disk').upper()}", f"first-lba: {MARGIN // sector}"]
    for part in table:
        lines.append(
            f"start={part.start // sector}, size={part.size // sector}, type={part.type}, "
            f'uuid={part.uuid.upper()}, name="{part.name}"'
        )
    return "\n".join(lines) + "\n"
