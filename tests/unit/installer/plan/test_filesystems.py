"""Commands that make volumes and file systems, and the fstab."""

from __future__ import annotations

import struct

import pytest

from photonbuild.installer.errors import MachineError
from photonbuild.installer.plan.filesystems import swap_header
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import Command
from tests.support.installer import MIB, commands, facts, kickstart, written


def test_file_systems_that_grub_reads() -> None:
    partitions = [
        {"mountpoint": "/", "size": 0, "mkfs_options": "-O ^has_journal -m 0"},
        {"mountpoint": "/boot", "size": 400, "filesystem": "xfs"},
    ]
    plan = make_plan(kickstart(partitions=partitions), facts())
    ext4 = next(line for line in commands(plan) if line.startswith("mkfs.ext4"))
    assert " -O ^has_journal,^metadata_csum_seed,^orphan_file -m 0 /dev/sda" in ext4
    assert ext4.count("-O") == 1, "mke2fs heeds the last one only"
    assert " -i nrext64=0 " in next(line for line in commands(plan) if line.startswith("mkfs.xfs"))
    images = [step.argv for step in plan.preparation if isinstance(step, Command)]
    assert all("xfs" in argv and "ext2" in argv and "lvm" not in argv for argv in images)


def test_fstab() -> None:
    partitions = [
        {"mountpoint": "/", "size": 0, "filesystem": "xfs"},
        {"mountpoint": "/var", "size": 100, "fs_options": "nodev,nosuid"},
        {"filesystem": "swap", "size": 64},
    ]
    lines = written(make_plan(kickstart(partitions=partitions), facts()))["/etc/fstab"].splitlines()
    assert [line.split("=")[0] for line in lines] == ["UUID", "PARTUUID", "UUID", "UUID"]
    assert [line.split(None, 1)[1] for line in lines] == [
        "/ xfs rw 0 0",
        "/boot/efi vfat umask=0077,noauto,x-systemd.automount 0 0",
        "/var ext4 rw,nodev,nosuid 0 2",
        "none swap defaults 0 0",
    ]


def test_swap_header() -> None:
    page = swap_header(64 * MIB, "00112233-4455-6677-8899-aabbccddeeff")
    assert len(page) == 4096 and page.endswith(b"SWAPSPACE2")
    assert struct.unpack_from("<III", page, 1024) == (1, 64 * MIB // 4096 - 1, 0)
    assert page[1036:1040] == b"\x00\x11\x22\x33"


BTRFS = {
    "label": "main",
    "subvols": [
        {"name": "home", "mountpoint": "/home", "fs_options": "nodev", "subvols": [{"name": "a", "mountpoint": "/b"}]},
        {"name": "plain"},
    ],
}


def test_a_btrfs_with_subvolumes() -> None:
    partitions = [
        {"mountpoint": "/", "size": 0},
        {"mountpoint": "/srv", "size": 512, "filesystem": "btrfs", "fs_options": "noatime", "btrfs": BTRFS},
    ]
    known = frozenset({"ext4", "vfat", "btrfs"})
    plan = make_plan(kickstart(partitions=partitions), facts(filesystems=known))
    lines = [line for line in commands(plan) if "btrfs" in line]
    device, volume = "/dev/sda3", "/run/installer/work/volumes/0"
    assert lines[0].startswith("mkfs.btrfs --quiet --force --uuid ") and lines[0].endswith(f" --label main {device}")
    assert lines[1:] == [
        f"mount -t btrfs {device} {volume}",
        f"btrfs subvolume create {volume}/home",
        f"btrfs subvolume create {volume}/home/a",
        f"btrfs subvolume create {volume}/plain",
        f"mount -t btrfs -o subvol=/home/a {device} /run/installer/target/b",
        f"mount -t btrfs -o subvol=/home {device} /run/installer/target/home",
        f"mount -t btrfs {device} /run/installer/target/srv",
    ]
    fstab = [line.split(None, 1)[1] for line in written(plan)["/etc/fstab"].splitlines() if "btrfs" in line]
    assert fstab == [
        "/b btrfs rw,subvol=/home/a,noatime 0 0",
        "/home btrfs rw,subvol=/home,noatime,nodev 0 0",
        "/srv btrfs rw,noatime 0 0",
    ]


def test_a_kernel_without_btrfs() -> None:
    partitions = [{"mountpoint": "/", "size": 0}, {"mountpoint": "/srv", "size": 512, "filesystem": "btrfs"}]
    with pytest.raises(MachineError, match="the kernel of this system has no btrfs"):
        make_plan(kickstart(partitions=partitions), facts())
