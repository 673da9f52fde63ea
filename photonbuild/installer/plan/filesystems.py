"""Steps that write the partition table and make volumes and file systems, and the fstab for them. Pure functions."""

from __future__ import annotations

import shlex
import struct
import uuid
from collections.abc import Sequence

from photonbuild.disk import gpt
from photonbuild.disk.gpt import MIB
from photonbuild.disk.grub import EXT4_FEATURES
from photonbuild.disk.lvm import EXTENT
from photonbuild.installer.kickstart.model import BTRFS, EXT4, SWAP, VFAT, XFS
from photonbuild.installer.machine.facts import Disk, Facts
from photonbuild.installer.plan.layout import FileSystem, Layout, Table, name_and_type
from photonbuild.installer.plan.steps import Command, Patch, SameDisk, Step

PAGE = 4096
SETTLE = ("udevadm", "settle", "--timeout=60")


def table_steps(layout: Layout, facts: Facts) -> list[Step]:
    """From whatever the disks hold to empty partitions and volumes."""
    steps: list[Step] = [_same(table.disk) for table in layout.tables]
    disks = [table.disk for table in layout.tables]
    old = sorted(
        name
        for name, devices in facts.volume_groups.items()
        if any(disk.has(each) for disk in disks for each in devices)
    )
    steps += [
        Command(title=f"remove the old volume group {name}", argv=("vgremove", "--force", "--force", "--yes", name))
        for name in old
    ]
    for table in layout.tables:
        steps += _table(table)
    for group, device in layout.volume_groups:
        steps.append(Command(title=f"prepare {device} for LVM", argv=("pvcreate", "--force", "--yes", device)))
        steps.append(
            Command(
                title=f"make the volume group {group}",
                argv=("vgcreate", "--yes", f"--physicalextentsize={EXTENT // MIB}m", group, device),
                undo=("vgchange", "--activate=n", group),
            )
        )
    volumes = [(made, made.partition.lvm) for made in layout.filesystems if made.partition.lvm]
    # The one that takes the rest is made when the others are there.
    for made, lvm in sorted(volumes, key=lambda pair: pair[0].partition.size == 0):
        extents = "--extents=100%FREE" if made.partition.size == 0 else f"--extents={made.room // EXTENT}"
        argv = ("lvcreate", "--yes", "--wipesignatures=y", f"--name={lvm.lv_name}", extents, lvm.vg_name)
        steps.append(Command(title=f"make the logical volume {lvm.lv_name}", argv=argv))
    return steps


def _same(disk: Disk) -> Step:
    return SameDisk(title=f"make sure that {disk.path} is still the disk that was found", disk=disk)


def _table(table: Table) -> list[Step]:
    disk = table.disk
    # A signature that is left in a partition comes back with the next table that has one in the same place.
    held = sorted({signature.device for signature in disk.signatures} & set(disk.partitions))
    forget = ("wipefs", "--all", "--force", "--quiet", *held, disk.path)
    steps: list[Step] = [
        Command(title=f"forget what {disk.path} holds", argv=forget),
        # udev looks at what was written: while it has a partition open, the kernel keeps the old table.
        Command(title="wait until nobody reads it", argv=SETTLE),
    ]
    if not table.partitions:
        # What partitions the kernel still knows are of a table that is gone.
        return [
            *steps,
            Command(title=f"forget the partitions of {disk.path}", argv=("blockdev", "--rereadpt", disk.path)),
        ]
    return [
        *steps,
        Command(
            title=f"write the partition table of {disk.path}",
            argv=("sfdisk", "--quiet", "--lock=yes", "--wipe=always", "--wipe-partitions=always", disk.path),
            input=gpt.sfdisk_script(table.partitions, table.identity, disk.sector),
        ),
        Command(title="wait for the partitions", argv=SETTLE),
    ]


def filesystem_steps(layout: Layout, facts: Facts) -> list[Step]:
    steps = [make_filesystem(each) for each in (*layout.filesystems, *layout.shadows)]
    for number, made in enumerate(each for each in layout.filesystems if each.partition.subvolumes):
        steps += _subvolume_steps(made, str(facts.paths.work / f"volumes/{number}"))
    return steps


def _subvolume_steps(made: FileSystem, folder: str) -> list[Step]:
    """The volume is mounted apart from the system, where none of its subvolumes' own mount points are."""
    volume = f"the volume of {made.partition.mountpoint}"
    steps: list[Step] = [
        Command(title=f"make a place for {volume}", argv=("mkdir", "-p", folder)),
        Command(title=f"mount {volume}", argv=("mount", "-t", BTRFS, made.device, folder), undo=("umount", folder)),
    ]
    for each in made.partition.subvolumes:
        argv = ("btrfs", "subvolume", "create", f"{folder}/{each.path}")
        steps.append(Command(title=f"make the subvolume {each.path}", argv=argv))
    return steps


def make_filesystem(made: FileSystem) -> Step:
    partition = made.partition
    title = f"make {partition.filesystem} for {partition.mountpoint or 'swap'} on {made.device}"
    words = shlex.split(partition.mkfs_options)
    if partition.filesystem == SWAP:
        return Patch(title=title, device=made.device, offset=0, content=swap_header(made.size, made.uuid))
    if partition.filesystem == VFAT:
        number = made.uuid[:8]
        return Command(title=title, argv=("mkfs.vfat", "-i", number, "-n", "ESP", *words, made.device))
    if partition.filesystem == XFS:
        # GRUB 2.12's reader knows no large extent counters.
        argv = ("mkfs.xfs", "-q", "-f", "-m", f"uuid={made.uuid}", "-i", "nrext64=0", *words, made.device)
        return Command(title=title, argv=argv)
    if partition.filesystem == BTRFS:
        label = partition.label or name_and_type(partition)[0]
        argv = ("mkfs.btrfs", "--quiet", "--force", "--uuid", made.uuid, "--label", label, *words, made.device)
        return Command(title=title, argv=argv)
    assert partition.filesystem == EXT4
    features, words = _ext4_features(words)
    label = name_and_type(partition)[0][:16]
    argv = ("mkfs.ext4", "-q", "-F", "-U", made.uuid, "-L", label, "-O", features, *words, made.device)
    return Command(title=title, argv=argv)


def _ext4_features(words: Sequence[str]) -> tuple[str, list[str]]:
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


def fstab(layout: Layout) -> str:
    lines = []
    for made in layout.filesystems:
        partition = made.partition
        options = f",{partition.fs_options}" if partition.fs_options else ""
        # The unit of an open container waits for its passphrase as long as it takes; that of a UUID would not.
        device = made.device if made.container else f"UUID={made.uuid}"
        if partition.filesystem == SWAP:
            lines.append(f"{device} none swap defaults{options} 0 0")
        elif partition.filesystem == VFAT:
            common = f"umask=0077,noauto,x-systemd.automount{options}"
            lines.append(f"PARTUUID={made.partuuid} {partition.mountpoint} vfat {common} 0 0")
        else:
            check = 0 if partition.filesystem in (XFS, BTRFS) else 1 if partition.mountpoint == "/" else 2
            lines.append(f"{device} {partition.mountpoint} {partition.filesystem} rw{options} 0 {check}")
            for each in partition.subvolumes:
                # Btrfs' own options are those of whatever is mounted first: all have the volume's.
                words = [f"subvol=/{each.path}", *filter(None, [partition.fs_options, each.fs_options])]
                if each.mountpoint:
                    lines.append(f"{device} {each.mountpoint} {BTRFS} rw,{','.join(words)} 0 0")
    return "\n".join(sorted(lines, key=lambda line: line.split()[1])) + "\n"
