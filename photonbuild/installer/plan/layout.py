"""The layout of the disk: partitions, logical volumes and their sizes. Pure functions.

The order on the disk is that of image disks: BIOS boot, ESP, then what the kickstart names, with the one that takes the
rest last. A volume group is one partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from photonbuild.disk import gpt
from photonbuild.disk.gpt import MIB
from photonbuild.disk.limits import ESP_SIZE, XFS_MINIMUM
from photonbuild.installer.errors import DiskError, MachineError
from photonbuild.installer.kickstart.model import (
    BIOS,
    DUALBOOT,
    EFI,
    ESP_MOUNTPOINT,
    SWAP,
    VFAT,
    XFS,
    Kickstart,
    Partition,
)
from photonbuild.installer.machine.facts import Facts

# LVM keeps its metadata in the first MiB of a partition, and gives out extents of 4 MiB.
EXTENT = 4 * MIB
# What the root's file system needs beside its files: inode tables, journal, some air.
ROOT_RESERVE = 64 * MIB
# The least for the file system that takes the rest of the disk, and for each mount point; others have 1 MiB.
REST_MINIMUM = 16 * MIB
MINIMUMS = {ESP_MOUNTPOINT: 8 * MIB, "/boot": 32 * MIB}
PARTITION_TYPES = {"/": gpt.ROOT, "/var": gpt.VAR, ESP_MOUNTPOINT: gpt.ESP}


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """A file system or swap area to make: its device, its size in bytes, its UUID.

    `partuuid` is that of its partition, empty on a logical volume.
    """

    partition: Partition
    device: str
    size: int
    uuid: str
    partuuid: str = ""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The whole disk: its table, its file systems in the kickstart's order, and the device of each volume group."""

    disk: str
    table: tuple[gpt.Partition, ...]
    filesystems: tuple[FileSystem, ...]
    volume_groups: tuple[tuple[str, str], ...]

    def mounted_at(self, mountpoint: str) -> FileSystem | None:
        return next((made for made in self.filesystems if made.partition.mountpoint == mountpoint), None)

    @property
    def root(self) -> FileSystem:
        return next(made for made in self.filesystems if made.partition.mountpoint == "/")

    @property
    def boot(self) -> FileSystem:
        """The one that /boot, with GRUB's menu, is in."""
        return self.mounted_at("/boot") or self.root

    @property
    def esp(self) -> FileSystem | None:
        return self.mounted_at(ESP_MOUNTPOINT)

    @property
    def bios_boot(self) -> gpt.Partition | None:
        return next((part for part in self.table if part.name == gpt.BIOS_BOOT), None)


def bootmode(kickstart: Kickstart, facts: Facts) -> str:
    """What the disk can be started by. Raises DiskError where that is not what is asked for.

    A BIOS, and GRUB's code for one, count in sectors of 512 bytes (grub-core/boot/i386/pc/boot.S).
    """
    if facts.disk.sector == gpt.SECTOR or kickstart.bootmode == EFI:
        return kickstart.bootmode
    if kickstart.bootmode == DUALBOOT and facts.firmware == EFI:
        return EFI
    raise DiskError(
        f"{facts.disk.path} has sectors of {facts.disk.sector} bytes, and a BIOS starts from no such disk",
        where="disk",
        hint="start the medium by UEFI, or write 'bootmode: efi'; or take another disk",
    )


def make_layout(kickstart: Kickstart, facts: Facts) -> Layout:
    """What goes where. Raises DiskError for what does not fit, MachineError for what cannot be made or started."""
    partitions = _with_esp(kickstart)
    _require_support(partitions, facts)
    sizes = _sizes(kickstart, partitions, facts)
    _require_room(partitions, sizes, facts)
    groups = dict.fromkeys(each.lvm.vg_name for each in partitions if each.lvm)
    # What is in one partition each: a file system, or a whole volume group; the one that takes the rest goes last.
    contents = [("", [each]) for each in partitions if each.lvm is None]
    contents += [(group, [each for each in partitions if each.lvm and each.lvm.vg_name == group]) for group in groups]
    contents.sort(key=lambda content: any(each.size == 0 for each in content[1]))
    table: list[gpt.Partition] = []
    start = gpt.MARGIN
    if kickstart.bootmode in (BIOS, DUALBOOT):
        table.append(_in_table(facts, gpt.BIOS_BOOT, gpt.BIOS_BOOT, start, gpt.BIOS_BOOT_SIZE))
        start += gpt.BIOS_BOOT_SIZE
    filesystems: list[FileSystem] = []
    volume_groups: list[tuple[str, str]] = []
    for group, members in contents:
        size = sum(sizes[member] for member in members) + (2 * EXTENT if group else 0)
        name, kind = (f"lvm-{group}", gpt.LVM) if group else name_and_type(members[0])
        table.append(_in_table(facts, name, kind, start, size))
        device = partition_device(facts.disk.path, len(table))
        start += size
        volume_groups += [(group, device)] if group else []
        partuuid = "" if group else table[-1].uuid
        filesystems += [_filesystem(facts, member, device, sizes[member], partuuid) for member in members]
    filesystems.sort(key=lambda made: partitions.index(made.partition))
    return Layout(
        disk=facts.disk.path,
        table=tuple(table),
        filesystems=tuple(filesystems),
        volume_groups=tuple(volume_groups),
    )


def partition_device(disk: str, number: int) -> str:
    """/dev/sda → /dev/sda1, /dev/nvme0n1 → /dev/nvme0n1p1."""
    return f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}"


def mapper(group: str, name: str) -> str:
    """The device of a logical volume; the device mapper doubles hyphens in names."""
    return f"/dev/mapper/{group.replace('-', '--')}-{name.replace('-', '--')}"


def _with_esp(kickstart: Kickstart) -> list[Partition]:
    partitions = list(kickstart.partitions)
    if kickstart.bootmode in (EFI, DUALBOOT) and not any(each.mountpoint == ESP_MOUNTPOINT for each in partitions):
        partitions.append(Partition(filesystem=VFAT, mountpoint=ESP_MOUNTPOINT, size=ESP_SIZE // MIB))
    # Firmware looks for the ESP first.
    return sorted(partitions, key=lambda each: each.mountpoint != ESP_MOUNTPOINT)


def _require_support(partitions: Sequence[Partition], facts: Facts) -> None:
    for name in sorted({partition.filesystem for partition in partitions} - {SWAP} - facts.filesystems):
        hint = f"choose another file system than {name}"
        raise MachineError(f"the kernel of this system has no {name}", where="partitions", hint=hint)
    for group, devices in sorted(facts.volume_groups.items()):
        here = [facts.disk.has(device) for device in devices]
        if any(here) and not all(here):
            raise DiskError(
                f"the volume group '{group}' is on {facts.disk.path} and on other disks: {', '.join(devices)}",
                where="disk",
                hint=f"move it off the disk with vgreduce(8), or remove it with vgremove {group}",
            )
    for partition in partitions:
        if partition.lvm is None:
            continue
        group = partition.lvm.vg_name
        elsewhere = [device for device in facts.volume_groups.get(group, ()) if not facts.disk.has(device)]
        if elsewhere:
            raise DiskError(f"there is a volume group '{group}' already, on {', '.join(elsewhere)}", where="partitions")
        if partition.mountpoint == "/" and not facts.has_lvm_initramfs:
            raise MachineError(
                f"'/' on a logical volume needs an initramfs, and this medium has no {facts.paths.lvm_initramfs}",
                where="partitions",
                hint="take a plain partition for '/'; /var and others can be logical volumes",
            )


def _sizes(kickstart: Kickstart, partitions: Sequence[Partition], facts: Facts) -> dict[Partition, int]:
    """Bytes of each; a whole number of extents for logical volumes."""
    available = facts.disk.size // MIB * MIB - 2 * gpt.MARGIN
    if kickstart.bootmode in (BIOS, DUALBOOT):
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
    left = available - sum(sizes.values())
    rest = next((each for each in partitions if each.size == 0), None)
    if left < (REST_MINIMUM if rest else 0):
        needed = facts.disk.size - left + (REST_MINIMUM if rest else 0)
        raise _too_small(facts, needed, "its partitions")
    if rest:
        sizes[rest] = left // EXTENT * EXTENT if rest.lvm else left
    return sizes


def _require_room(partitions: Sequence[Partition], sizes: dict[Partition, int], facts: Facts) -> None:
    root = next(each for each in partitions if each.mountpoint == "/")
    needed = (facts.root_size * 9 // 8 + ROOT_RESERVE + MIB - 1) // MIB * MIB
    if sizes[root] < needed:
        if root.size == 0:
            raise _too_small(facts, facts.disk.size + needed - sizes[root], "the system and the other partitions")
        raise DiskError(
            f"the partition for '/' has {sizes[root] // MIB} MiB, and the system needs {needed // MIB}",
            where="partitions",
            hint=f"give it a 'size' of at least {needed // MIB}",
        )
    for each in partitions:
        least = XFS_MINIMUM if each.filesystem == XFS else MINIMUMS.get(each.mountpoint, MIB)
        if sizes[each] < least:
            raise DiskError(
                f"{each.mountpoint or each.filesystem} has {sizes[each] // MIB} MiB, and needs {least // MIB}",
                where="partitions",
            )


def _too_small(facts: Facts, needed: int, what: str) -> DiskError:
    return DiskError(
        f"the disk {facts.disk.path} has {facts.disk.size // MIB} MiB, and {what} need {-(-needed // MIB)}",
        where="partitions",
        hint="take a larger disk, or smaller partitions",
    )


def name_and_type(partition: Partition) -> tuple[str, str]:
    """Name and type of a partition in the table: names are seen below /dev/disk/by-partlabel."""
    if partition.filesystem == SWAP:
        return gpt.SWAP, gpt.SWAP
    kind = PARTITION_TYPES.get(partition.mountpoint, gpt.LINUX)
    return (kind if kind != gpt.LINUX else partition.mountpoint.strip("/").replace("/", "-")[:36]), kind


def _in_table(facts: Facts, name: str, kind: str, start: int, size: int) -> gpt.Partition:
    identity = gpt.named_uuid(facts.identity, f"partition {start}")
    return gpt.Partition(name=name, kind=kind, start=start, size=size, uuid=identity, filesystem_uuid="")


def _filesystem(facts: Facts, partition: Partition, device: str, size: int, partuuid: str) -> FileSystem:
    if partition.lvm:
        device = mapper(partition.lvm.vg_name, partition.lvm.lv_name)
    identity = gpt.named_uuid(facts.identity, f"file system {partition.mountpoint} {device}")
    return FileSystem(partition=partition, device=device, size=size, uuid=identity, partuuid=partuuid)
