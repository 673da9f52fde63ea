"""Disks that are in use."""

from __future__ import annotations

import pytest

from photonbuild.installer.errors import DiskError
from tests.support.installer import GOOD, FakeMachine


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
