"""Whole plans: the order of the steps, settings, packages, units."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.installer.errors import KickstartError
from photonbuild.installer.machine.facts import LocalFile
from photonbuild.installer.machine.kernel import Card
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import Command, Copy, Write, describe
from tests.support.installer import HASH, KEY, commands, facts, kickstart, written


def test_order_of_the_commands() -> None:
    plan = make_plan(kickstart(), facts())
    assert [line.split()[0] for line in commands(plan)] == [
        "wipefs", "udevadm", "sfdisk", "udevadm", "mkfs.vfat", "mkfs.ext4", "mount", "cp",
        "mount", "mount", "mount", "mount", "mount", "sync",
    ]  # fmt: skip
    assert "cp --archive -- /run/initramfs/live/root/. /run/installer/target" in commands(plan)
    assert [step.argv[-1] for step in plan.steps if isinstance(step, Command) and step.undo] == [
        f"/run/installer/target{path}" for path in ("", "/boot/efi", "/proc", "/sys", "/dev", "/run")
    ]


def test_mounts_go_from_the_root_down_and_fat_comes_after_the_copy() -> None:
    partitions = [
        {"mountpoint": "/var/lib", "size": 100},
        {"mountpoint": "/var", "size": 100},
        {"mountpoint": "/", "size": 0},
    ]
    plan = make_plan(kickstart(partitions=partitions), facts())
    lines = [line for line in commands(plan) if line.startswith(("mount -t ext4", "mount -t vfat", "cp"))]
    assert [line.split()[-1].removeprefix("/run/installer/target") for line in lines] == [
        "", "/var", "/var/lib", "", "/boot/efi",
    ]  # fmt: skip


def test_identifiers_are_those_of_one_installation() -> None:
    one, same, other = (describe(make_plan(kickstart(), facts(identity=name * 16))) for name in "aab")
    assert one == same != other


def test_settings() -> None:
    network = {"version": "2", "ethernets": {"lan": {"match": {"macaddress": "52:54:00:00:00:01"}}}}
    plan = make_plan(
        kickstart(
            hostname="h", network=network, shadow_password=HASH, public_key=KEY, services={"a.service": "masked"}
        ),
        facts(
            shadow="root:!*:::::::\ndaemon:!*:::::::\n",
            authorized_keys="ssh-rsa AAAA old\n",
            resolver="/run/systemd/resolve",
            cards=(Card(name="enp0s1", address="52:54:00:00:00:02"),),
        ),
    )
    files = written(plan)
    assert files["/etc/hostname"] == "h\n"
    assert files["/etc/machine-id"] == ""
    assert files["/etc/shadow"] == f"root:{HASH}:20000::::::\ndaemon:!*:::::::\n"
    assert files["/root/.ssh/authorized_keys"] == f"ssh-rsa AAAA old\n{KEY}\n"
    assert "mount --bind /run/systemd/resolve /run/installer/target/run/systemd/resolve" in commands(plan)
    assert "no card of this machine is the 'lan' of the kickstart; there are: enp0s1 (52:54:00:00:00:02)" in plan.notes
    assert "/etc/systemd/network/10-lan.network" in files
    assert "systemctl --root=/run/installer/target mask a.service" in commands(plan)
    assert HASH not in describe(plan)


def test_without_a_host_name_and_without_a_login() -> None:
    plan = make_plan(kickstart(), facts())
    assert written(plan)["/etc/hostname"] == "phos-012345\n"
    assert "/etc/shadow" not in written(plan)
    assert any("nobody will be able to log in" in note for note in plan.notes)


def test_packages_files_and_script() -> None:
    packages = (Path("/run/a.rpm"),)
    file = LocalFile(source="https://h/motd", path=Path("/run/0"), destination="/etc/motd")
    plan = make_plan(kickstart(postinstall=["echo a", "echo b"]), facts(packages=packages, additional_files=(file,)))
    assert isinstance(plan.preparation[0], Command)
    assert plan.preparation[0].argv == ("rpm", "--root", "/", "--install", "--test", "--ignoresize", "/run/a.rpm")
    assert "rpm --root /run/installer/target --install /run/a.rpm" in commands(plan)
    assert Copy(title="copy https://h/motd", source=Path("/run/0"), path="/etc/motd") in plan.steps
    assert written(plan)["/root/.postinstall"] == "#!/bin/sh\necho a\necho b\n"
    assert any(line.startswith("chroot /run/installer/target env -i ") for line in commands(plan))


@pytest.mark.parametrize("name", ["a", "a.service", "getty@tty9", "getty@tty9.service"])
def test_units_that_are_there(name: str) -> None:
    make_plan(kickstart(services={name: "enabled"}), facts())


def test_a_unit_that_is_not_there() -> None:
    with pytest.raises(KickstartError, match=r"the system has no unit 'aa\.service', did you mean 'a\.service'"):
        make_plan(kickstart(services={"aa": "disabled"}), facts())
    make_plan(kickstart(services={"aa": "masked"}), facts())
    make_plan(kickstart(services={"aa": "enabled"}), facts(packages=(Path("/run/aa.rpm"),)))


def test_secrets_are_written_for_root_alone() -> None:
    plan = make_plan(kickstart(shadow_password=HASH, public_key=KEY, postinstall=["echo secret"]), facts())
    modes = {step.path: step.mode for step in plan.steps if isinstance(step, Write)}
    secret = {"/etc/shadow": 0o600, "/root/.ssh/authorized_keys": 0o600, "/root/.postinstall": 0o700}
    assert {path: modes[path] for path in secret} == secret
    assert all(modes[step.path] & 0o077 == 0 for step in plan.steps if isinstance(step, Write) and step.secret)
