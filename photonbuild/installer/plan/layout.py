"""The layout of the disks: partitions and logical volumes in their places. Pure functions.

The order on a disk is that of image disks: BIOS boot, ESP, then what the kickstart names, with the one that takes the
rest last. A volume group is one partition, or a whole disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from photonbuild.disk import gpt
from photonbuild.disk.gpt import MIB
from photonbuild.disk.limits import ESP_SIZE
from photonbuild.disk.lvm import EXTENT
from photonbuild.installer.errors import DiskError, MachineError
from photonbuild.installer.kickstart.model import (
    BIOS,
    DUALBOOT,
    EFI,
    ESP_MOUNTPOINT,
    SWAP,
    VFAT,
    Kickstart,
    Partition,
)
from photonbuild.installer.machine.facts import Disk, Facts
from photonbuild.installer.plan.sizes import LUKS_HEADER, require_room, sizes_of

# At the end of the name of a partition that `ab` makes.
SHADOW = "-b"
PARTITION_TYPES = {"/": gpt.ROOT, "/var": gpt.VAR, ESP_MOUNTPOINT: gpt.ESP}


@dataclass(frozen=True, kw_only=True)
class Container:
    """What is encrypted with LUKS: its device, its UUID, and what it is called when it is open."""

    device: str
    uuid: str

    @property
    def name(self) -> str:
        return f"luks-{self.uuid}"


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """A file system or swap area to make: its device, its size in bytes, its UUID.

    `partuuid` is that of its partition, empty on a logical volume. With a `container` its device is that, opened.
    """

    partition: Partition
    device: str
    size: int
    uuid: str
    partuuid: str = ""
    container: Container | None = None

    @property
    def room(self) -> int:
        """Bytes of its partition or logical volume."""
        return self.size + (LUKS_HEADER if self.container else 0)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The partition table of one disk. Without `partitions` it has none, and is used as a whole."""

    disk: Disk
    identity: str
    partitions: tuple[gpt.Partition, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All disks: their tables, that of the default first; file systems in the kickstart's order; groups' devices.

    `shadows` are file systems that are made and not used.
    """

    tables: tuple[Table, ...]
    filesystems: tuple[FileSystem, ...]
    shadows: tuple[FileSystem, ...] = ()
    volume_groups: tuple[tuple[str, str], ...]

    @property
    def disk(self) -> str:
        return self.tables[0].disk.path

    @property
    def table(self) -> tuple[gpt.Partition, ...]:
        return self.tables[0].partitions

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
    def containers(self) -> tuple[tuple[FileSystem, Container], ...]:
        """What is encrypted, with what it is encrypted in."""
        return tuple((made, made.container) for made in self.filesystems if made.container)

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
    _require_support(kickstart, partitions, facts)
    made = []
    for target in kickstart.used_disks:
        disk, mine = facts.disks[target.id], [each for each in partitions if each.disk_id == target.id]
        sizes = sizes_of(kickstart, mine, disk)
        require_room(mine, sizes, disk, facts)
        made.append(_one_disk(kickstart, mine, sizes, disk, facts))
    filesystems = [each for layout in made for each in layout.filesystems]
    filesystems.sort(key=lambda each: partitions.index(each.partition))
    return Layout(
        tables=tuple(table for layout in made for table in layout.tables),
        filesystems=tuple(filesystems),
        shadows=tuple(each for layout in made for each in layout.shadows),
        volume_groups=tuple(group for layout in made for group in layout.volume_groups),
    )


def _one_disk(
    kickstart: Kickstart, partitions: Sequence[Partition], sizes: dict[Partition, int], disk: Disk, facts: Facts
) -> Layout:
    identity = facts.identity if disk == facts.disk else f"{facts.identity} {disk.path}"
    groups = dict.fromkeys(each.lvm.vg_name for each in partitions if each.lvm)
    # What is in one partition each: a file system, or a whole volume group; the one that takes the rest goes last.
    contents = [("", [each]) for each in partitions if each.lvm is None]
    contents += [(group, [each for each in partitions if each.lvm and each.lvm.vg_name == group]) for group in groups]
    contents.sort(key=lambda content: any(each.size == 0 for each in content[1]))
    table: list[gpt.Partition] = []
    start = gpt.MARGIN

    def add(name: str, kind: str, size: int) -> str:
        nonlocal start
        table.append(_in_table(identity, name, kind, start, size))
        start += size
        return partition_device(disk.path, len(table))

    if disk == facts.disk and kickstart.bootmode in (BIOS, DUALBOOT):
        add(gpt.BIOS_BOOT, gpt.BIOS_BOOT, gpt.BIOS_BOOT_SIZE)
    whole = any(each.all_disk for each in partitions)
    filesystems: list[FileSystem] = []
    shadows: list[FileSystem] = []
    volume_groups: list[tuple[str, str]] = []
    for group, members in contents:
        size = sum(sizes[member] for member in members) + (2 * EXTENT if group else 0)
        name, kind = (f"lvm-{group}", gpt.LVM) if group else name_and_type(members[0])
        device = disk.path if whole else add(name, kind, size)
        volume_groups += [(group, device)] if group else []
        partuuid = "" if group or whole else table[-1].uuid
        filesystems += [_filesystem(facts, member, device, sizes[member], partuuid) for member in members]
        if members[0].ab and not whole:
            # No type by which anything would find and mount it.
            device = add(f"{name}{SHADOW}", gpt.LINUX, size)
            shadows.append(_filesystem(facts, members[0], device, size, table[-1].uuid))
    return Layout(
        tables=(Table(disk=disk, identity=identity, partitions=tuple(table)),),
        filesystems=tuple(filesystems),
        shadows=tuple(shadows),
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


def _require_support(kickstart: Kickstart, partitions: Sequence[Partition], facts: Facts) -> None:
    for name in sorted({partition.filesystem for partition in partitions} - {SWAP} - facts.filesystems):
        hint = f"choose another file system than {name}"
        raise MachineError(f"the kernel of this system has no {name}", where="partitions", hint=hint)
    for group, devices in sorted(facts.volume_groups.items()):
        mine = [disk for disk in facts.disks.values() if any(map(disk.has, devices))]
        if mine and not all(any(disk.has(device) for disk in mine) for device in devices):
            raise DiskError(
                f"the volume group '{group}' is on {mine[0].path} and on other disks: {', '.join(devices)}",
                where="disk",
                hint=f"move it off the disk with vgreduce(8), or remove it with vgremove {group}",
            )
    root = kickstart.root
    if root.needs_initramfs and not facts.has_initramfs:
        what = "an encrypted '/'" if root.luks else "'/' on a logical volume" if root.lvm else "'/' as a Btrfs"
        raise MachineError(
            f"{what} needs an initramfs, and this medium has no {facts.paths.initramfs}",
            where="partitions",
            hint="take a plain partition for '/'; /var and others can be otherwise",
        )
    for partition in partitions:
        if partition.lvm is None:
            continue
        group = partition.lvm.vg_name
        devices = facts.volume_groups.get(group, ())
        elsewhere = [device for device in devices if not any(disk.has(device) for disk in facts.disks.values())]
        if elsewhere:
            raise DiskError(f"there is a volume group '{group}' already, on {', '.join(elsewhere)}", where="partitions")


def name_and_type(partition: Partition) -> tuple[str, str]:
    """Name and type of a partition in the table: names are seen below /dev/disk/by-partlabel."""
    if partition.filesystem == SWAP:
        return gpt.SWAP, gpt.SWAP
    kind = PARTITION_TYPES.get(partition.mountpoint, gpt.LINUX)
    return (kind if kind != gpt.LINUX else partition.mountpoint.strip("/").replace("/", "-")[:36]), kind


def _in_table(identity: str, name: str, kind: str, start: int, size: int) -> gpt.Partition:
    own = gpt.named_uuid(identity, f"partition {start}")
    return gpt.Partition(name=name[-36:], kind=kind, start=start, size=size, uuid=own, filesystem_uuid="")


def _filesystem(facts: Facts, partition: Partition, device: str, size: int, partuuid: str) -> FileSystem:
    if partition.lvm:
        device = mapper(partition.lvm.vg_name, partition.lvm.lv_name)
    container = None
    if partition.luks:
        container = Container(device=device, uuid=gpt.named_uuid(facts.identity, f"LUKS {device}"))
        device, size = f"/dev/mapper/{container.name}", size - LUKS_HEADER
    identity = gpt.named_uuid(facts.identity, f"file system {partition.mountpoint} {device}")
    return FileSystem(
        partition=partition, device=device, size=size, uuid=identity, partuuid=partuuid, container=container
    )
