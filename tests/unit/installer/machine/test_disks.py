"""Disks that are in use."""

from __future__ import annotations

import pytest

from photonbuild.installer import __main__, execute
from photonbuild.installer.errors import DiskError
from photonbuild.installer.log import Log
from photonbuild.installer.machine.disks import disks
from photonbuild.installer.machine.facts import Facts
from photonbuild.installer.plan.steps import Plan
from tests.support.installer import GOOD, FakeMachine, add_disk, add_signature


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("proc/self/mountinfo", "9 1 8:0 / {medium} ro - iso9660 /dev/sda ro\n", "this system runs from it"),
        ("proc/self/mountinfo", "9 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n", "/dev/sda1 is mounted at /mnt"),
        ("proc/swaps", "Filename Type\n/dev/sda1 partition\n", "/dev/sda1 is in use as swap"),
        ("sys/block/sda/ro", "1\n", "it is read-only"),
    ],
)
def test_a_disk_in_use(
    fake: FakeMachine, capfd: pytest.CaptureFixture[str], file: str, text: str, message: str
) -> None:
    (fake.folder / file).write_text(text.format(medium=fake.paths.medium))
    assert fake.install(GOOD) == DiskError.exit_code
    assert message in capfd.readouterr().out
    assert fake.called() == []


def test_a_mounted_volume_on_the_disk_is_use_too(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    (fake.folder / "sys/block/sda/sda1/holders/dm-0").mkdir(parents=True)
    (fake.folder / "sys/block/dm-0").mkdir()
    (fake.folder / "sys/block/dm-0/dev").write_text("253:0\n")
    (fake.folder / "proc/self/mountinfo").write_text("9 1 253:0 / /srv rw - ext4 /dev/dm-0 rw\n")
    assert fake.install(GOOD) == 10
    assert "/dev/dm-0 is mounted at /srv" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("uuid", "message"),
    [
        ("", "/dev/dm-1 is mounted at /srv"),
        ("CRYPT-LUKS2-x", "secrets is open, and encrypted on it (cryptsetup close secrets ends that)"),
    ],
)
def test_what_is_made_of_what_is_made_of_the_disk(
    fake: FakeMachine, capfd: pytest.CaptureFixture[str], uuid: str, message: str
) -> None:
    """A volume on an encrypted device; and one that nobody has mounted, which sfdisk would refuse after the wiping."""
    (fake.folder / "sys/block/sda/sda1/holders/dm-0").mkdir(parents=True)
    add_disk(fake, "dm-0", dev="253:0", dm__uuid=uuid or "CRYPT-x", dm__name="secrets")
    (fake.folder / "sys/block/dm-0/holders/dm-1").mkdir(parents=True)
    add_disk(fake, "dm-1", dev="253:1", dm__uuid="LVM-x")
    if not uuid:
        (fake.folder / "proc/self/mountinfo").write_text("9 1 253:1 / /srv rw - ext4 /dev/mapper/v rw\n")
    assert fake.install(GOOD) == 10
    assert message in capfd.readouterr().out
    assert fake.called() == []


def test_an_array_that_runs(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    (fake.folder / "sys/block/sda/holders/md127").mkdir(parents=True)
    add_disk(fake, "md127", dev="9:127")
    assert fake.install(GOOD) == 10
    assert "/dev/md127 is made of it" in capfd.readouterr().out


def test_volumes_of_lvm_go_with_their_group(fake: FakeMachine) -> None:
    (fake.folder / "sys/block/sda/sda1/holders/dm-0").mkdir(parents=True)
    add_disk(fake, "dm-0", dev="253:0", dm__uuid="LVM-x")
    assert fake.install(GOOD) == 0


def test_a_file_system_whose_number_is_not_its_device(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    """As btrfs has it in mountinfo."""
    (fake.folder / "proc/self/mountinfo").write_text("9 1 0:33 / /srv rw - btrfs /dev/sda1 rw\n")
    assert fake.install(GOOD) == 10
    assert "/dev/sda1 is mounted at /srv" in capfd.readouterr().out


RAID = {"type": "linux_raid_member", "usage": "raid", "uuid": "u-1", "label": "old:0"}


@pytest.mark.parametrize(
    ("theirs", "code"),
    [
        (RAID, 10),
        ({**RAID, "uuid": "u-2"}, 0),
        ({**RAID, "type": "LVM2_member"}, 0),
    ],
)
def test_a_member_of_an_array(
    fake: FakeMachine, capfd: pytest.CaptureFixture[str], theirs: dict[str, str], code: int
) -> None:
    """The signature is seen without the array's driver; another member of the same array would be damaged."""
    add_disk(fake, "sdb")
    add_signature(fake, "sda1", **{**RAID, "type": theirs["type"]})
    add_signature(fake, "sdb", **theirs)
    assert fake.install(GOOD) == code
    shown = capfd.readouterr().out
    assert ("are members of one linux_raid_member 'old:0' (wipefs --all" in shown) == (code == 10)
    if code == 0:
        assert f"on it: {theirs['type']} 'old:0' on {fake.disk}1" in shown
        assert any(line.startswith("wipefs --all") and "/dev/sda1 /dev/sda" in line for line in fake.called())


def test_clones_are_no_array(fake: FakeMachine) -> None:
    add_disk(fake, "sdb")
    for name in ("sda", "sdb"):
        add_signature(fake, name, type="ext4", usage="filesystem", uuid="u")
    assert fake.install(GOOD) == 0


@pytest.mark.parametrize(
    "text", ["[]", "null", '{"signatures": 1}', '{"signatures": [1]}', '{"signatures": [{}]}', "["]
)
def test_what_is_no_answer_of_wipefs(fake: FakeMachine, capfd: pytest.CaptureFixture[str], text: str) -> None:
    (fake.folder / "signatures/sda1").write_text(text)
    assert fake.install(GOOD) == 10
    assert "it cannot be read: wipefs" in capfd.readouterr().out
    assert fake.called() == []


def test_a_disk_that_cannot_be_read(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    (fake.folder / "signatures/sda1").unlink()
    assert fake.install(GOOD) == 10
    assert "it cannot be read: cat: " in capfd.readouterr().out
    assert fake.called() == []


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("SERIAL=QM1", 0, "installed onto"),
        ("WWN=0x5000c500a1b2c3d4", 10, "2 disks are WWN=0x5000c500a1b2c3d4"),
        ("SERIAL=QM9", 10, "there is no such disk: SERIAL=QM9"),
        ("SERIAL=", 2, "SERIAL=… or WWN=… is expected"),
    ],
)
def test_by_serial_and_wwn(
    fake: FakeMachine, capfd: pytest.CaptureFixture[str], name: str, code: int, message: str
) -> None:
    add_disk(fake, "sdb")
    for disk, serial in (("sda", "QM1"), ("sdb", "QM2")):
        text = f"ID_SERIAL=Virtual_disk_{serial}\nID_SERIAL_SHORT={serial}\nID_WWN=0x5000c500a1b2c3d4\n"
        (fake.folder / "udev" / disk).write_text(text)
    assert fake.install({**GOOD, "disk": name}) == code
    assert message in capfd.readouterr().out


def test_what_is_no_disk_to_install_onto(fake: FakeMachine) -> None:
    for name in ("md127", "md_home", "dm-3", "sr1", "fd0", "mmcblk0boot0", "mmcblk0rpmb", "zram0"):
        add_disk(fake, name)
    add_disk(fake, "nvme0c0n1", hidden="1")
    for name in ("mmcblk0", "nvme0n1", "nvme0n10", "fdisk0"):
        add_disk(fake, name)
    names = [disk.path.rpartition("/")[2] for disk in disks(fake.kernel, fake.paths)]
    assert names == ["fdisk0", "mmcblk0", "nvme0n1", "nvme0n10", "sda"]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("sys/block/sda/diskseq", "6", "this is not the disk any more that was found"),
        ("sys/block/sda/size", "9999999", "there is now"),
        ("udev/sda", "ID_SERIAL_SHORT=QM2\n", "serial QM2"),
        ("signatures/sda1", '{"signatures": [{"type": "xfs"}]}', "with xfs on"),
        ("proc/self/mountinfo", "9 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n", "is in use by now: /dev/sda1 is mounted at"),
    ],
)
def test_another_disk_under_the_same_name(
    fake: FakeMachine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, file: str, text: str,
    message: str,
) -> None:  # fmt: skip
    """Between the look at it and the first write."""

    def change(plan: Plan, facts: Facts, log: Log) -> None:
        execute.prepare(plan, facts, log)
        (fake.folder / file).write_text(text)

    monkeypatch.setattr(__main__, "prepare", change)
    assert fake.install(GOOD) == 10
    assert message in capfd.readouterr().out
    assert [line.split()[0] for line in fake.called()] == ["grub-mkimage", "grub-mkimage"]
