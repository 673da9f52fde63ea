"""Sizes, partitions and logical volumes; what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from photonbuild.disk.limits import XFS_MINIMUM
from photonbuild.installer.errors import DiskError, MachineError
from photonbuild.installer.machine.facts import Disk
from photonbuild.installer.plan.layout import partition_device
from photonbuild.installer.plan.make import make_plan
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
            [("bios", 1), ("esp", 64), ("var", 4096), ("boot", 128), ("swap", 512), ("swap", 512), ("root", 2877)],
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
    with pytest.raises(DiskError, match="'old' is on /dev/sda and on other disks"):
        make_plan(kickstart(), facts(volume_groups={"old": ("/dev/sda2", "/dev/sdb1")}))
    plan = make_plan(late, facts(volume_groups={"g": ("/dev/sda2",), "else": ("/dev/sdab1",)}))
    assert commands(plan)[0] == "vgremove --force --force --yes g"


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
