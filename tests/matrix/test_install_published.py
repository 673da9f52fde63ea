"""Kickstarts of tests/data/kickstarts, each about one feature of the published document: installed, and started.

Those that are not here name what no machine has, or are refused; `test_install_content.py` has the same keys with
packages, a repository and a registry that exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from photonbuild.machines.drive import BootDrive, Drive
from photonbuild.machines.hardware import Firmware
from tests.support.installs import InstallLab, ended, finished
from tests.support.published import wait_for_boot
from tests.support.terminal import Terminal

pytestmark = pytest.mark.matrix

FOLDER = Path(__file__).parents[1] / "data/kickstarts"
GIB = 1 << 30
SCRIPTS = {
    "scripts/find.sh": "#!/bin/sh\ntest $SITE = north\n",
    "scripts/before.sh": "#!/bin/sh\ntouch $POI_ROOT/srv/made/before\n",
    "scripts/after.sh": "#!/bin/sh -e\ntest -e /srv/made/before\ndate >>/etc/made\n",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a machine is asked by ssh, and says; without questions only its console is read: no one reaches it.

    `said` is on the installer's console.
    """

    asks: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    words: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    firmware: Firmware = "bios"


CASES = {
    "parameters.yaml": Case(words="ks.param=name=given", asks={"hostname": "given"}),
    "several-disks.yaml": Case(
        asks={
            "findmnt -no SOURCE,FSTYPE /srv": "/dev/sdb2 xfs",
            "findmnt -no SOURCE,FSTYPE /home": "/dev/sdb1 ext4",
            "swapon --noheadings --show=TYPE": "partition",
            "wipefs --noheadings /dev/sdc": "",
        },
        said=("no partition is on the disk 'spare'",),
    ),
    "older-disks.json": Case(asks={"findmnt -no SOURCE,FSTYPE /srv": "/dev/sdb1 ext4"}),
    "whole-disk.cfg": Case(
        asks={
            "findmnt -no SOURCE,FSTYPE /plain": "/dev/sdb ext4",
            "findmnt -no SOURCE,FSTYPE /group": "/dev/mapper/big-one ext4",
            "wipefs --noheadings --output TYPE /dev/sdc": "LVM2_member",
        }
    ),
    "shadow-partition.yaml": Case(
        firmware="uefi",
        asks={"ls /dev/disk/by-partlabel | grep -c root": "2", "findmnt -no FSTYPE /srv": "ext4"},
        said=("the second partition of / stays empty",),
    ),
    "btrfs.yaml": Case(
        asks={
            "findmnt -no SOURCE,FSTYPE,FSROOT /srv": "/dev/sda3 btrfs /",
            "findmnt -no FSROOT /srv/data": "/data",
            "findmnt -no FSROOT /opt/deep": "/data/deep",
            "findmnt -no OPTIONS /srv/data | grep -oE 'nodev|compress=zstd'": "nodev\ncompress=zstd",
            "findmnt -no OPTIONS /opt/deep | grep -oE 'nodev|compress=zstd'": "compress=zstd",
            "btrfs subvolume list /srv | sed 's/.* path //'": "data\ndata/deep\nquiet",
            "btrfs filesystem label /srv": "main",
            "rpm -q --qf '%{NAME}\n' btrfs-progs linux-btrfs linux-btrfs-modules":
                "btrfs-progs\nlinux-btrfs\nlinux-btrfs-modules",
            "btrfs scrub start -B /srv | grep -o 'no errors found'": "no errors found",
            "systemctl is-system-running --wait": "running",
        },
        said=("a subvolume has no label",),
    ),
    "btrfs-root.yaml": Case(
        asks={
            "findmnt -no FSTYPE,FSROOT / | tr -s ' '": "btrfs /",
            "findmnt -no FSROOT /srv": "/data",
            "findmnt -no FSTYPE /boot": "ext4",
            "ls /boot/usr/lib/modules/$(uname -r)": "initrd\nvmlinuz",
            "btrfs subvolume list / | sed 's/.* path //'": "data\ndata/deep",
            "rm /boot/usr/lib/modules/*/initrd && update-initramfs && ls /boot/usr/lib/modules/*": "initrd\nvmlinuz",
            "btrfs scrub start -B / | grep -o 'no errors found'": "no errors found",
            "systemctl is-system-running --wait": "running",
        },
    ),
    "lvm.yaml": Case(
        asks={
            "lsblk -no NAME $(findmnt -no SOURCE /)": "vg_root-lv_root",
            "findmnt -no SOURCE /var": "/dev/mapper/vg_root-lv_var",
            "blkid -s LABEL -o value $(findmnt -no SOURCE --fstab --evaluate /boot/efi)": "EFI",
        }
    ),
    "passwords.yaml": Case(
        asks={
            "getent shadow root | cut -d: -f5": "90",
            "getent shadow root | cut -d: -f2 | cut -c1-3": "$6$",
            "grep -c tester /root/.ssh/authorized_keys": "1",
            "grep -c 'plain and' /var/log/installer.log || :": "0",
        },
        said=("the password stands here in plain text",),
    ),
    "placeholder-key.yaml": Case(asks={"hostname | cut -c1-5": "phos-"}, said=("'<your key here>' is no key",)),
    "scripts.yaml": Case(
        files=SCRIPTS, asks={"hostname": "north-1", "head -1 /etc/made": "/root", "wc -l </etc/made": "2"}
    ),
    "kernel-arguments.yaml": Case(
        files={"user.cfg": "level=4\nuser_cmdline=loglevel=$level\n"},
        asks={"grep -o 'loglevel=.' /proc/cmdline": "loglevel=4"},
    ),
    "network-dhcp.json": Case(asks={"grep -h Hostname= /etc/systemd/network/*": "Hostname=asks"}),
    "network-vlan.json": Case(
        asks={"ip -d link show eth0.77 | grep -o 'vlan protocol 802.1Q id 77'": "vlan protocol 802.1Q id 77"}
    ),
    "network.yaml": Case(
        asks={"hostname": "node", "ip -br address show vlan0 | awk '{print $3}'": "198.51.100.9/24"},
        said=("eth0 of the kickstart is",),
    ),
    "network-static.json": Case(),
    "bond.yaml": Case(said=("no card of this machine is the 'second'",)),
    "without-effect.yaml": Case(
        asks={"systemctl is-active docker": "active"}, said=("key 'ui':", "key 'manifest_file':")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_installs_and_starts(name: str, installs: InstallLab) -> None:
    case = CASES[name]
    stem = name.partition(".")[0]
    disk = installs.blank(stem)
    more = [installs.blank(f"{stem}-{number}", GIB) for number in range(2)]
    drives = [Drive(file=path, format="raw", bus="sata", writable=True) for path in more]
    disc = installs.disc("ANSWERS", {name: FOLDER / name, **case.files})
    words = f"ks=cdrom:/{name} installer.poweroff {case.words}"
    with installs.medium(
        disk, bus="sata", discs=[disc], drives=drives, words=words, firmware=case.firmware
    ) as (machine, terminal):  # fmt: skip
        finished(terminal)
        ended(machine)
        for line in case.said:
            assert line in " ".join(terminal.text.split()), terminal.text[-4000:]
    drive = BootDrive(file=disk, format="raw", bus="sata", writable=True)
    with installs.machine(installs.hardware(boot_drive=drive, drives=drives, firmware=case.firmware)) as machine:
        if not case.asks:
            with Terminal(machine) as terminal:
                terminal.wait_for("login:", timeout=400)
            return
        wait_for_boot(machine)
        answers = {command: machine.ssh(command).stdout.strip() for command in case.asks}
        assert answers == dict(case.asks)
        machine.shut_down()
