"""Sizes of partitions and logical volumes, and what is too small. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from photonbuild.disk import gpt
from photonbuild.disk.gpt import MIB
from photonbuild.disk.limits import BTRFS_MINIMUM, XFS_MINIMUM
from photonbuild.disk.lvm import EXTENT
from photonbuild.installer.errors import DiskError
from photonbuild.installer.kickstart.model import (
    BIOS,
    BTRFS,
    DEFAULT,
    DUALBOOT,
    ESP_MOUNTPOINT,
    XFS,
    Kickstart,
    Partition,
)
from photonbuild.installer.machine.facts import Disk, Facts

# What LUKS 2 has in front of the data.
LUKS_HEADER = 16 * MIB
# What the root's file system needs beside its files: inode tables, journal, some air.
ROOT_RESERVE = 64 * MIB
# The least for the file system that takes the rest of the disk, and for each mount point; others have 1 MiB.
REST_MINIMUM = 16 * MIB
MINIMUMS = {ESP_MOUNTPOINT: 8 * MIB, "/boot": 32 * MIB}


def sizes_of(kickstart: Kickstart, partitions: Sequence[Partition], disk: Disk) -> dict[Partition, int]:
    """Bytes of each on one disk; a whole number of extents for logical volumes."""
    whole_disk = any(each.all_disk for each in partitions)
    available = disk.size // MIB * MIB - (0 if whole_disk else 2 * gpt.MARGIN)
    if kickstart.bootmode in (BIOS, DUALBOOT) and all(each.disk_id == DEFAULT for each in partitions):
        available -= gpt.BIOS_BOOT_SIZE
    groups = {each.lvm.vg_name for each in partitions if each.lvm}
    available -= len(groups) * 2 * EXTENT
    # Of what the firmware's own leave, so that percentages can add up to 100.
    whole = available - sum((each.size or 0) * MIB for each in partitions if each.mountpoint == ESP_MOUNTPOINT)
    sizes = {}
    for each in partitions:
        unit = EXTENT if each.lvm else MIB
        if each.sizepercent is not None:
            sizes[each] = whole * each.sizepercent // 100 // unit * unit
        else:
            sizes[each] = -(-(each.size or 0) * MIB // unit) * unit
    left = available - sum(size * (2 if each.ab else 1) for each, size in sizes.items())
    rest = next((each for each in partitions if each.size == 0), None)
    if left < (REST_MINIMUM if rest else 0):
        needed = disk.size - left + (REST_MINIMUM if rest else 0)
        raise _too_small(disk, needed, "its partitions")
    if rest:
        unit = EXTENT if rest.lvm else MIB
        sizes[rest] = left // (2 if rest.ab else 1) // unit * unit
    return sizes


def require_room(partitions: Sequence[Partition], sizes: Mapping[Partition, int], disk: Disk, facts: Facts) -> None:
    root = next((each for each in partitions if each.mountpoint == "/"), None)
    needed = (facts.root_size * 9 // 8 + ROOT_RESERVE + MIB - 1) // MIB * MIB
    needed += LUKS_HEADER if root and root.luks else 0
    if root and sizes[root] < needed:
        if root.size == 0:
            times = 2 if root.ab else 1
            raise _too_small(disk, disk.size + (needed - sizes[root]) * times, "the system and the other partitions")
        raise DiskError(
            f"the partition for '/' has {sizes[root] // MIB} MiB, and the system needs {needed // MIB}",
            where="partitions",
            hint=f"give it a 'size' of at least {needed // MIB}",
        )
    for each in partitions:
        least = LUKS_HEADER if each.luks else 0
        kinds = {XFS: XFS_MINIMUM, BTRFS: BTRFS_MINIMUM}
        least += kinds.get(each.filesystem, MINIMUMS.get(each.mountpoint, MIB))
        if sizes[each] < least:
            raise DiskError(
                f"{each.mountpoint or each.filesystem} has {sizes[each] // MIB} MiB, and needs {least // MIB}",
                where="partitions",
            )


def _too_small(disk: Disk, needed: int, what: str) -> DiskError:
    return DiskError(
        f"the disk {disk.path} has {disk.size // MIB} MiB, and {what} need {-(-needed // MIB)}",
        where="partitions",
        hint="take a larger disk, or smaller partitions",
    )
