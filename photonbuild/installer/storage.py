"""Partitions, logical volumes and file systems of an installation: sizes, commands, fstab. Pure functions.

The order on the disk is that of image disks: BIOS boot, ESP, then what the kickstart names, with the one that takes the
rest last. A volume group is one partition.
"""

from __future__ import annotations

import shlex
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from photonbuild.disk import gpt
from photonbuild.disk.grub import EXT4_FEATURES
from photonbuild.installer.facts import Facts
from photonbuild.installer.failures import DiskError, MachineError
from photonbuild.installer.kickstart import (
    BIOS,
    DUALBOOT,
    EFI,
    ESP_MOUNTPOINT,
    EXT4,
    SWAP,
    VFAT,
    XFS,
    XFS_MINIMUM,
    Filesystem,
    Kickstart,
)
from photonbuild.installer.steps import Command, Patch, Step

MIB = gpt.MIB
ESP_SIZE = 32 * MIB
# LVM keeps its metadata in the first MiB of a partition, and gives out extents of 4 MiB.
EXTENT = 4 * MIB
# What a file system needs beside its files: inode tables, journal, some air; and the least of any.
ROOT_RESERVE, MINIMUM = 64 * MIB, 16 * MIB
LEAST = {ESP_MOUNTPOINT: 8 * MIB, "/boot": 32 * MIB}
PAGE = 4096
KINDS = {"/": gpt.ROOT, "/var": gpt.VAR, ESP_MOUNTPOINT: gpt.ESP}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A file system and where it comes to lie: its device, its size in bytes, its UUID; the partition's own if it is
    one."""

    entry: Filesystem
    device: str
    size: int
    uuid: str
    partition: str = ""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The whole disk: its table, what lies where, and the partition of each volume group."""

    disk: str
    table: tuple[gpt.Partition, ...]
    places: tuple[Place, ...]
    groups: tuple[tuple[str, str], ...]

    def mounted_at(self, mountpoint: str) -> Place | None:
        return next((place for place in self.places if place.entry.mountpoint == mountpoint), None)

    @property
    def root(self) -> Place:
        return next(place for place in self.places if place.entry.mountpoint == "/")

    @property
    def menu(self) -> Place:
        """Where GRUB's menu lies."""
        return self.mounted_at("/boot") or self.root

    @property
    def esp(self) -> Place | None:
        return self.mounted_at(ESP_MOUNTPOINT)

    @property
    def bios_boot(self) -> gpt.Partition | None:
        return next((part for part in self.table if part.name == gpt.BIOS_BOOT), None)


def storage(kickstart: Kickstart, facts: Facts) -> Storage:
    """What goes where. Raises DiskError for what does not fit, MachineError for what cannot be made or started."""
    entries = _with_esp(kickstart)
    _require_support(entries, facts)
    sizes = _sizes(kickstart, entries, facts)
    _require_room(entries, sizes, facts)
    groups = tuple(dict.fromkeys(entry.volume.group for entry in entries if entry.volume))
    # The units that become partitions: single file systems, and whole groups; what takes the rest goes last.
    wholes: list[tuple[str, list[Filesystem]]] = [("", [entry]) for entry in entries if entry.volume is None]
    wholes += [
        (group, [entry for entry in entries if entry.volume and entry.volume.group == group]) for group in groups
    ]
    wholes.sort(key=lambda whole: any(entry.size == 0 for entry in whole[1]))
    table: list[gpt.Partition] = []
    start = gpt.MARGIN
    if kickstart.bootmode in (BIOS, DUALBOOT):
        table.append(_partition(facts, gpt.BIOS_BOOT, gpt.BIOS_BOOT, start, gpt.BIOS_BOOT_SIZE))
        start += gpt.BIOS_BOOT_SIZE
    places: list[Place] = []
    devices: list[tuple[str, str]] = []
    for group, members in wholes:
        size = sum(sizes[entry] for entry in members) + (2 * EXTENT if group else 0)
        name, kind = (f"lvm-{group}", gpt.LVM) if group else _name(members[0])
        part = _partition(facts, name, kind, start, size)
        table.append(part)
        device = partition_device(facts.disk.path, len(table))
        start += size
        devices += [(group, device)] if group else []
        places += [_place(facts, entry, device, sizes[entry], "" if group else part.uuid) for entry in members]
    order = {entry: number for number, entry in enumerate(entries)}
    places.sort(key=lambda place: order[place.entry])
    return Storage(disk=facts.disk.path, table=tuple(table), places=tuple(places), groups=tuple(devices))


def partition_device(disk: str, number: int) -> str:
    """/dev/sda → /dev/sda1, /dev/nvme0n1 → /dev/nvme0n1p1."""
    return f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}"


def mapper(group: str, name: str) -> str:
    """The device of a logical volume; the device mapper doubles hyphens in names."""
    return f"/dev/mapper/{group.replace('-', '--')}-{name.replace('-', '--')}"


def _with_esp(kickstart: Kickstart) -> list[Filesystem]:
    entries = list(kickstart.filesystems)
    if kickstart.bootmode in (EFI, DUALBOOT) and not any(entry.mountpoint == ESP_MOUNTPOINT for entry in entries):
        entries.append(Filesystem(filesystem=VFAT, mountpoint=ESP_MOUNTPOINT, size=ESP_SIZE // MIB))
    # Firmware looks for the ESP first.
    return sorted(entries, key=lambda entry: entry.mountpoint != ESP_MOUNTPOINT)


def _require_support(entries: Sequence[Filesystem], facts: Facts) -> None:
    for name in sorted({entry.filesystem for entry in entries} - {SWAP} - facts.filesystems):
        hint = f"choose another file system than {name}"
        raise MachineError(f"the kernel of this system has no {name}", where="partitions", hint=hint)
    for group, devices in sorted(facts.volume_groups.items()):
        on_disk = [_on(facts.disk.path, device) for device in devices]
        if any(on_disk) and not all(on_disk):
            raise DiskError(
                f"the volume group '{group}' is on {facts.disk.path} and on other disks: {', '.join(devices)}",
                where="disk",
                hint=f"move it off the disk with vgreduce(8), or remove it with vgremove {group}",
            )
    for entry in entries:
        if entry.volume is None:
            continue
        group = entry.volume.group
        elsewhere = [device for device in facts.volume_groups.get(group, ()) if not _on(facts.disk.path, device)]
        if elsewhere:
            raise DiskError(f"there is a volume group '{group}' already, on {', '.join(elsewhere)}", where="partitions")
        if entry.mountpoint == "/" and not facts.has_lvm_initramfs:
            raise MachineError(
                f"'/' on a logical volume needs an initramfs, and this medium has no {facts.places.lvm_initramfs}",
                where="partitions",
                hint="take a plain partition for '/'; /var and others can be logical volumes",
            )


def _on(disk: str, device: str) -> bool:
    rest = device.removeprefix(disk)
    return rest != device and (not rest or rest.removeprefix("p").isdigit())


def _sizes(kickstart: Kickstart, entries: Sequence[Filesystem], facts: Facts) -> dict[Filesystem, int]:
    """Bytes of each; a whole number of extents for logical volumes."""
    available = facts.disk.size // MIB * MIB - 2 * gpt.MARGIN
    if kickstart.bootmode in (BIOS, DUALBOOT):
        available -= gpt.BIOS_BOOT_SIZE
    sizes = {}
    for entry in entries:
        size = (entry.size or 0) * MIB if entry.percent is None else facts.disk.size * entry.percent // 100 // MIB * MIB
        sizes[entry] = -(-size // EXTENT) * EXTENT if entry.volume else size
    groups = {entry.volume.group for entry in entries if entry.volume}
    left = available - sum(sizes.values()) - len(groups) * 2 * EXTENT
    rest = next((entry for entry in entries if entry.size == 0), None)
    if left < (MINIMUM if rest else 0):
        needed = facts.disk.size - left + (MINIMUM if rest else 0)
        raise _too_small(facts, needed, "its partitions")
    if rest:
        sizes[rest] = left // EXTENT * EXTENT if rest.volume else left
    return sizes


def _require_room(entries: Sequence[Filesystem], sizes: dict[Filesystem, int], facts: Facts) -> None:
    root = next(entry for entry in entries if entry.mountpoint == "/")
    needed = (facts.root_size * 9 // 8 + ROOT_RESERVE + MIB - 1) // MIB * MIB
    if sizes[root] < needed:
        if root.size == 0:
            raise _too_small(facts, facts.disk.size + needed - sizes[root], "the system and the other partitions")
        raise DiskError(
            f"the partition for '/' has {sizes[root] // MIB} MiB, and the system needs {needed // MIB}",
            where="partitions",
            hint=f"give it a 'size' of at least {needed // MIB}",
        )
    for entry in entries:
        least = XFS_MINIMUM * MIB if entry.filesystem == XFS else LEAST.get(entry.mountpoint, MIB)
        if sizes[entry] < least:
            raise DiskError(
                f"{entry.mountpoint or entry.filesystem} has {sizes[entry] // MIB} MiB, and needs {least // MIB}",
                where="partitions",
            )


def _too_small(facts: Facts, needed: int, what: str) -> DiskError:
    return DiskError(
        f"the disk {facts.disk.path} has {facts.disk.size // MIB} MiB, and {what} need {-(-needed // MIB)}",
        where="partitions",
        hint="take a larger disk, or smaller partitions",
    )


def _name(entry: Filesystem) -> tuple[str, str]:
    """Name and kind of a partition: names are seen below /dev/disk/by-partlabel."""
    if entry.filesystem == SWAP:
        return gpt.SWAP, gpt.SWAP
    kind = KINDS.get(entry.mountpoint, gpt.LINUX)
    return (kind if kind != gpt.LINUX else entry.mountpoint.strip("/").replace("/", "-")[:36]), kind


def _partition(facts: Facts, name: str, kind: str, start: int, size: int) -> gpt.Partition:
    identity = gpt.named_uuid(facts.identity, f"partition {start}")
    return gpt.Partition(name=name, kind=kind, start=start, size=size, uuid=identity, filesystem_uuid="")


def _place(facts: Facts, entry: Filesystem, device: str, size: int, partition: str) -> Place:
    if entry.volume:
        device = mapper(entry.volume.group, entry.volume.name)
    identity = gpt.named_uuid(facts.identity, f"file system {entry.mountpoint} {device}")
    return Place(entry=entry, device=device, size=size, uuid=identity, partition=partition)


def table_steps(layout: Storage, facts: Facts) -> list[Step]:
    """From whatever the disk holds to empty partitions and volumes."""
    disk = layout.disk
    old = sorted(name for name, devices in facts.volume_groups.items() if any(_on(disk, dev) for dev in devices))
    steps: list[Step] = [
        Command(title=f"remove the old volume group {name}", argv=("vgremove", "--force", "--force", "--yes", name))
        for name in old
    ]
    steps += [
        Command(title=f"forget what {disk} holds", argv=("wipefs", "--all", "--force", "--quiet", disk)),
        Command(
            title=f"write the partition table of {disk}",
            argv=("sfdisk", "--quiet", "--wipe=always", "--wipe-partitions=always", disk),
            input=gpt.sfdisk_script(layout.table, facts.identity),
        ),
        Command(title="wait for the partitions", argv=("udevadm", "settle", "--timeout=60")),
    ]
    for group, device in layout.groups:
        steps.append(Command(title=f"prepare {device} for LVM", argv=("pvcreate", "--force", "--yes", device)))
        steps.append(
            Command(
                title=f"make the volume group {group}",
                argv=("vgcreate", "--yes", f"--physicalextentsize={EXTENT // MIB}m", group, device),
                undo=("vgchange", "--activate=n", group),
            )
        )
    volumes = [(place, place.entry.volume) for place in layout.places if place.entry.volume]
    # The one that takes the rest is made when the others are there.
    for place, volume in sorted(volumes, key=lambda pair: pair[0].entry.size == 0):
        extents = "--extents=100%FREE" if place.entry.size == 0 else f"--extents={place.size // EXTENT}"
        argv = ("lvcreate", "--yes", "--wipesignatures=y", f"--name={volume.name}", extents, volume.group)
        steps.append(Command(title=f"make the logical volume {volume.name}", argv=argv))
    return steps


def filesystem_steps(layout: Storage) -> list[Step]:
    return [make_filesystem(place) for place in layout.places]


def make_filesystem(place: Place) -> Step:
    entry = place.entry
    title = f"make {entry.filesystem} for {entry.mountpoint or 'swap'} on {place.device}"
    words = shlex.split(entry.mkfs_options)
    if entry.filesystem == SWAP:
        return Patch(title=title, device=place.device, offset=0, content=swap_header(place.size, place.uuid))
    if entry.filesystem == VFAT:
        number = place.uuid[:8]
        return Command(title=title, argv=("mkfs.vfat", "-i", number, "-n", "ESP", *words, place.device))
    if entry.filesystem == XFS:
        # GRUB 2.12's reader knows no large extent counters.
        argv = ("mkfs.xfs", "-q", "-f", "-m", f"uuid={place.uuid}", "-i", "nrext64=0", *words, place.device)
        return Command(title=title, argv=argv)
    assert entry.filesystem == EXT4
    features, words = _features(words)
    label = _name(entry)[0][:16]
    argv = ("mkfs.ext4", "-q", "-F", "-U", place.uuid, "-L", label, "-O", features, *words, place.device)
    return Command(title=title, argv=argv)


def _features(words: Sequence[str]) -> tuple[str, list[str]]:
    """mke2fs(8) heeds its last -O only: those of the user and those that GRUB's reader needs in one."""
    features, rest, words = [], [], list(words)
    while words:
        word = words.pop(0)
        if word == "-O" and words:
            features.append(words.pop(0))
        elif word.startswith("-O") and len(word) > 2:
            features.append(word[2:])
        else:
            rest.append(word)
    return ",".join([*features, EXT4_FEATURES]), rest


def swap_header(size: int, identity: str) -> bytes:
    """The first page of a swap area of `size` bytes (union swap_header in Linux' include/linux/swap.h)."""
    page = bytearray(PAGE)
    struct.pack_into("<III", page, 1024, 1, size // PAGE - 1, 0)
    page[1036:1052] = uuid.UUID(identity).bytes
    page[PAGE - 10 :] = b"SWAPSPACE2"
    return bytes(page)


def fstab(layout: Storage) -> str:
    lines = []
    for place in layout.places:
        entry = place.entry
        options = f",{entry.mount_options}" if entry.mount_options else ""
        if entry.filesystem == SWAP:
            lines.append(f"UUID={place.uuid} none swap defaults{options} 0 0")
        elif entry.filesystem == VFAT:
            common = f"umask=0077,noauto,x-systemd.automount{options}"
            lines.append(f"PARTUUID={place.partition} {entry.mountpoint} vfat {common} 0 0")
        else:
            check = 0 if entry.filesystem == XFS else 1 if entry.mountpoint == "/" else 2
            lines.append(f"UUID={place.uuid} {entry.mountpoint} {entry.filesystem} rw{options} 0 {check}")
    return "\n".join(sorted(lines, key=lambda line: line.split()[1])) + "\n"
