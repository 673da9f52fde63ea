"""The end of an installation."""

from __future__ import annotations

from photonbuild.installer.reboot import cdrom_to_eject
from tests.support.installer import FakeMachine


def test_the_medium_is_a_cd_or_not(fake: FakeMachine) -> None:
    info = fake.folder / "proc/self/mountinfo"
    info.write_text(f"9 1 11:0 / {fake.paths.medium} ro - iso9660 /dev/sr0 ro\n")
    assert cdrom_to_eject(fake.kernel, fake.paths) == "/dev/sr0"
    info.write_text(f"9 1 8:16 / {fake.paths.medium} ro - iso9660 /dev/sdb ro\n")
    assert cdrom_to_eject(fake.kernel, fake.paths) == ""
