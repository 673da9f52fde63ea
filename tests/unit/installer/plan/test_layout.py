"""Sizes, partitions and logical volumes; what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from photonbuild.disk.limits import XFS_MINIMUM
from photonbuild.installer.errors import DiskError, MachineError
from photonbuild.installer.machine.facts import Disk
from photonbuild.installer.plan.layout import partition_device
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import BootCode, Command
from tests.support.installer import GIB, LVM_ROOT, MIB, commands, facts, kickstart, sizes, table


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, [("bios", 1), ("esp", 32), ("root", 8157)]),
        ({"bootmode": "bios"}, [("bios", 1), ("root", 8189)]),
        ({"bootmode": "efi"}, [("esp", 32), ("root", 8158)]),
        (
            {
                "partitions": [
                    {"mountpoint": "/", "size": 0},
                    {"mountpoint": "/var", "sizepercent": 50},
                    {"mountpoint": "/boot", "size": 128},
                    {"filesystem": "swap", "size": 512},
                    {"filesystem": "swap", "size": 512},
                    {"mountpoint": "/boot/efi", "filesystem": "vfat", "size": 64},
                ]
            },
            [("bios", 1), ("esp", 64), ("var", 4062), ("boot", 128), ("swap", 512), ("swap", 512), ("root", 2911)],
        ),
        (
            {"partitions": [{"mountpoint": "/", "sizepercent": 60}, {"mountpoint": "/var", "sizepercent": 40}]},
            [("bios", 1), ("esp", 32), ("root", 4894), ("var", 3262)],
        ),
        (
            {
                "partitions": [
                    {"mountpoint": "/", "sizepercent": 50},
                    {"mountpoint": "/var", "sizepercent": 50, "lvm": {"vg_name": "g", "lv_name": "var"}},
                    {"mountpoint": "/boot/efi", "filesystem": "vfat", "size": 64},
                ]
            },
            [("bios", 1), ("esp", 64), ("root", 4058), ("lvm-g", 4064)],
        ),
        (
            {"partitions": [{"mountpoint": "/", "size": 1000}, {"mountpoint": "/srv/data", "size": 100}]},
            [("bios", 1), ("esp", 32), ("root", 1000), ("srv-data", 100)],
        ),
        (
            {
                "partitions": [
                    {"mountpoint": "/var", "size": 0, "lvm": {"vg_name": "g", "lv_name": "var"}},
                    {"filesystem": "swap", "size": 510, "lvm": {"vg_name": "g", "lv_name": "swap"}},
                    {"mountpoint": "/", "size": 1024},
                ]
            },
            # 8 MiB of the group are for LVM itself; volumes are whole extents of 4 MiB.
            [("bios", 1), ("esp", 32), ("root", 1024), ("lvm-g", 7132)],
        ),
    ],
)
def test_sizes(data: dict[str, Any], expected: list[tuple[str, int]]) -> None:
    assert sizes(**data) == expected


def test_the_table_is_aligned_and_of_discoverable_types() -> None:
    rows = table(make_plan(kickstart(), facts()))
    assert [row["type"][:8] for row in rows] == ["21686148", "C12A7328", "4F68BCE3"]
    starts = [int(row["start"]) for row in rows]
    assert starts == [2048, 4096, 4096 + 32 * 2048]
    assert starts[-1] * 512 + int(rows[-1]["size"]) * MIB == 8 * GIB - MIB


def test_what_lvm_needs() -> None:
    with pytest.raises(MachineError, match="needs an initramfs, and this medium has no "):
        make_plan(kickstart(partitions=[LVM_ROOT]), facts())
    var = {"mountpoint": "/var", "size": 100, "lvm": {"vg_name": "g", "lv_name": "v"}}
    late = kickstart(partitions=[{"mountpoint": "/", "size": 0}, var])
    with pytest.raises(DiskError, match="there is a volume group 'g' already, on /dev/sdb1"):
        make_plan(late, facts(volume_groups={"g": ("/dev/sdb1",)}))
    disk = Disk(path="/dev/sda", size=8 * GIB, partitions=("/dev/sda1", "/dev/sda2"))
    with pytest.raises(DiskError, match="'old' is on /dev/sda and on other disks"):
        make_plan(kickstart(), facts(disk=disk, volume_groups={"old": ("/dev/sda2", "/dev/sdb1")}))
    plan = make_plan(late, facts(disk=disk, volume_groups={"g": ("/dev/sda2",), "else": ("/dev/sdab1",)}))
    assert commands(plan)[0] == "vgremove --force --force --yes g"


def test_the_volume_group_of_a_disk_whose_name_begins_the_same() -> None:
    """Ten namespaces of an NVMe disk: n1 is no part of n10, nor n10 of n1."""
    for mine, other in (("/dev/nvme0n1", "/dev/nvme0n10"), ("/dev/nvme0n10", "/dev/nvme0n1")):
        disk = Disk(path=mine, size=8 * GIB, partitions=(f"{mine}p1",))
        plan = make_plan(kickstart(), facts(disk=disk, volume_groups={"data": (other,), "more": (f"{other}p1",)}))
        assert not any("vgremove" in line for line in commands(plan))
        plan = make_plan(kickstart(), facts(disk=disk, volume_groups={"data": (f"{mine}p1",)}))
        assert "vgremove --force --force --yes data" in commands(plan)


def test_sectors_of_4096_bytes() -> None:
    large = Disk(path="/dev/sda", size=8 * GIB, sector=4096)
    plan = make_plan(kickstart(), facts(disk=large, firmware="efi"))
    rows = table(plan, 4096)
    assert [(row["name"], int(row["start"]), int(row["size"])) for row in rows] == [
        ('"esp"', 256, 32), ('"root"', 256 + 32 * 256, 8192 - 2 - 32),
    ]  # fmt: skip
    script = next(step.input for step in plan.steps if isinstance(step, Command) and step.argv[0] == "sfdisk")
    assert "first-lba: 256\n" in script
    assert not any(isinstance(step, BootCode) for step in plan.steps), "no BIOS starts from it"
    for bootmode, firmware in (("bios", "efi"), ("bios", "bios"), ("dualboot", "bios")):
        with pytest.raises(DiskError, match="sectors of 4096 bytes, and a BIOS starts from no such disk"):
            make_plan(kickstart(bootmode=bootmode), facts(disk=large, firmware=firmware))
    assert make_plan(kickstart(bootmode="efi"), facts(disk=large)).notes[0].endswith("will start by UEFI only")


def test_disks_and_partitions_that_are_too_small() -> None:
    small = facts(disk=Disk(path="/dev/sda", size=256 * MIB))
    with pytest.raises(DiskError, match=r"the disk /dev/sda has 256 MiB, and the system and .* need 437") as caught:
        make_plan(kickstart(), small)
    assert caught.value.exit_code == 10
    with pytest.raises(DiskError, match="has 8192 MiB, and its partitions need 9035"):
        make_plan(kickstart(partitions=[{"mountpoint": "/", "size": 9000}]), facts())
    with pytest.raises(DiskError, match="the partition for '/' has 100 MiB, and the system needs 402"):
        make_plan(kickstart(partitions=[{"mountpoint": "/", "size": 100}]), facts())
    xfs = {"mountpoint": "/a", "filesystem": "xfs", "sizepercent": 1}
    with pytest.raises(DiskError, match=f"/a has 81 MiB, and needs {XFS_MINIMUM // MIB}"):
        make_plan(kickstart(partitions=[{"mountpoint": "/", "size": 0}, xfs]), facts())
    with pytest.raises(MachineError, match="the kernel of this system has no xfs"):
        make_plan(kickstart(partitions=[{"mountpoint": "/", "size": 0, "filesystem": "xfs"}]),
                  facts(filesystems=frozenset({"ext4", "vfat"})))  # fmt: skip


@pytest.mark.parametrize(
    ("disk", "device"),
    [("/dev/sda", "/dev/sda3"), ("/dev/nvme0n1", "/dev/nvme0n1p3"), ("/dev/mmcblk0", "/dev/mmcblk0p3")],
)
def test_partition_devices(disk: str, device: str) -> None:
    assert partition_device(disk, 3) == device
