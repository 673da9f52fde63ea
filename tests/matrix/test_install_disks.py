"""Installations onto disks that are not blank or not of the usual kind: what is refused, what is wiped, what starts."""

from __future__ import annotations

import shutil
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from photonbuild.machines.drive import Drive
from photonbuild.machines.qemu import Machine
from tests.support.installs import DISK_SIZE, FAILED, INSTALLED, InstallLab, docker_runs
from tests.support.terminal import Terminal

pytestmark = pytest.mark.matrix
MIB, GIB = 1 << 20, 1 << 30
LARGE_SECTORS = [
    word
    for name in ("logical_block_size", "physical_block_size")
    for word in ("-global", f"virtio-blk-pci.{name}=4096")
]
ARRAY = uuid.UUID("0badc0de-0000-4000-8000-000000000001")
INSTALLER = "PYTHONPATH=/usr/lib/installer python3 -m photonbuild.installer"


def installer(machine: Machine, source: str, *words: str) -> tuple[int, str]:
    """Exit code and output of the installer, started by hand."""
    done = machine.ssh(f"{INSTALLER} -k '{source}' {' '.join(words)} 2>&1; echo exit $?", timeout=400)
    text, _, code = done.stdout.rpartition("exit ")
    return int(code), text


def lines(machine: Machine, command: str) -> list[str]:
    return machine.ssh(command).stdout.splitlines()


def make_raid_member(disk: Path) -> None:
    """A superblock of version 1.2, as md(4) has it at 4 KiB (struct mdp_superblock_1 in linux/raid/md_p.h)."""
    block = bytearray(256)
    struct.pack_into("<II", block, 0, 0xA92B4EFC, 1)
    block[16:32] = ARRAY.bytes
    block[32:64] = b"old:0".ljust(32, b"\0")
    struct.pack_into("<Q", block, 144, 8)
    with open(disk, "r+b") as handle:
        handle.seek(4096)
        handle.write(block)


def beginning(disk: Path) -> bytes:
    with open(disk, "rb") as handle:
        return handle.read(2 * MIB)


def rename_volume(iso: IO[bytes], name: str) -> None:
    """In ISO 9660's own descriptor (1) and in Joliet's (2): the live system looks for its own volume by the label."""
    encodings = {1: name.ljust(32).encode("ascii"), 2: name.ljust(16).encode("utf-16-be")}
    for sector in range(16, 20):
        iso.seek(sector * 2048)
        kind = iso.read(1)[0]
        if kind in encodings:
            iso.seek(sector * 2048 + 40)
            iso.write(encodings[kind])


@pytest.fixture
def private_key(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "id"
    path.write_text("of nobody else\n")
    path.chmod(0o600)
    yield path


def test_large_sectors_half_an_array_and_a_script_that_fails(installs: InstallLab, private_key: Path) -> None:
    """Sectors of 4,096 bytes: refused for a BIOS; half an array: refused; then a script fails, and then all is well."""
    disk, other = installs.blank("large"), installs.blank("other", 64 * MIB)
    for path in (disk, other):
        make_raid_member(path)
    before = beginning(disk)
    root = [{"mountpoint": "/", "sizepercent": 100, "fs_options": "noatime,nodev"}]
    files = [{"id": "/root/id"}]
    disc = installs.disc(
        "ANSWERS",
        {
            "bios.json": installs.kickstart(bootmode="bios"),
            "good.json": installs.kickstart(partitions=root, additional_files=files),
            "failing.json": installs.kickstart(postinstall=["echo token-7 >/root/seen", "false"]),
            "id": private_key,
        },
    )
    drives = [Drive(file=other, format="raw", bus="virtio", writable=True)]
    with installs.medium(
        disk, discs=[disc], drives=drives, words="ks=cdrom:/bios.json", firmware="uefi", options=LARGE_SECTORS
    ) as (machine, terminal):
        terminal.wait_for("/dev/vda is in use: /dev/vda and /dev/vdb are members of one linux_raid_member 'old:0'",
                          timeout=400)  # fmt: skip
        machine.wait_for_ssh(machine.elapsed() + 120)
        code, text = installer(machine, "cdrom:/good.json")
        assert (code, "are members of one linux_raid_member 'old:0'" in text) == (10, True), text
        machine.ssh("wipefs --all /dev/vdb")
        code, text = installer(machine, "cdrom:/bios.json")
        assert (code, "has sectors of 4096 bytes, and a BIOS starts from no such disk" in text) == (10, True), text
        assert beginning(disk) == before, "nothing is written by what is refused"
        code, text = installer(machine, "cdrom:/failing.json")
        assert (code, "run postinstall" in text) == (8, True), text
        assert "linux_raid_member 'old:0' on /dev/vda" in text
        machine.ssh("mount -o ro /dev/vda2 /mnt")
        assert lines(machine, "ls -A /mnt/root; stat -c %a /mnt/var/log/installer.log") == [".ssh", "seen", "600"]
        machine.ssh("umount /mnt")
        code, text = installer(machine, "cdrom:/good.json")
        assert code == 0, text
        assert "vfat 'ESP' on /dev/vda1" in text, "what is lost is named"
        machine.shut_down()
    with installs.installed(disk, firmware="uefi", options=LARGE_SECTORS) as machine:
        assert lines(machine, "cat /sys/block/vda/queue/logical_block_size") == ["4096"]
        options = lines(machine, "findmnt -no OPTIONS /")[0].split(",")
        assert {"noatime", "nodev"} <= set(options)
        assert lines(machine, "stat -c '%a %U' /root/id") == ["600 root"]
        assert lines(machine, "test -e /root/.postinstall || echo gone; wipefs -i -O TYPE /dev/vda") == [
            "gone", "gpt", "gpt", "PMBR",
        ]  # fmt: skip
        assert "No errors detected." in lines(machine, "sfdisk --verify /dev/vda")
        docker_runs(machine, installs)


def test_a_disk_with_a_live_system_and_two_that_start(installs: InstallLab) -> None:
    """With fixed addresses while it installs: over what an ISO was written to, and onto a second disk; each starts."""
    first, second = installs.blank("first"), installs.blank("second")
    with open(installs.iso, "rb") as source, open(first, "r+b") as target:
        shutil.copyfileobj(source, target)
        rename_volume(target, "OLD_RELEASE")
        target.truncate(DISK_SIZE)
    disc = installs.disc(
        "ANSWERS",
        {
            "one.json": installs.kickstart(disk="/dev/vda", hostname="one", bootmode="bios"),
            "two.json": installs.kickstart(disk="/dev/vdb", hostname="two", bootmode="bios"),
        },
    )
    drives = [Drive(file=second, format="raw", bus="virtio", writable=True)]
    words = "ks=cdrom:/one.json ip=10.0.2.15::10.0.2.2:255.255.255.0:::none nameserver=10.0.2.3"
    with installs.medium(first, discs=[disc], drives=drives, words=f"{words} installer.poweroff") as (_, terminal):
        terminal.wait_for(r"on it: [^\r\n]*iso9660 'OLD_RELEASE' on /dev/vda", FAILED, INSTALLED, timeout=400)
        assert "OLD_RELEASE" in terminal.text, terminal.text[-3000:]
        wait_for_end(terminal)
    with installs.medium(first, discs=[disc], drives=drives, words=words.replace("/one.json", "/nothing.json")) as (
        machine,
        terminal,
    ):
        terminal.wait_for("cdrom:/nothing.json: no such file", timeout=400)
        machine.wait_for_ssh(machine.elapsed() + 120)
        address = lines(machine, "ip -4 -o address show scope global")
        assert len(address) == 1 and "10.0.2.15/24" in address[0] and "dynamic" not in address[0]
        code, text = installer(machine, "cdrom:/two.json")
        assert code == 0, text
        machine.shut_down()
    for name, disks in (("one", (first, second)), ("two", (second, first))):
        beside = [Drive(file=disks[1], format="raw", bus="virtio")]
        with installs.installed(disks[0], drives=beside) as machine:
            assert lines(machine, "hostname; findmnt -no SOURCE /") == [name, "/dev/vda2"]
            assert "ip=" not in machine.ssh("cat /proc/cmdline").stdout
            assert lines(machine, "wipefs -i -O TYPE /dev/vda") == ["gpt", "gpt", "PMBR"]


def wait_for_end(terminal: Terminal) -> None:
    terminal.wait_for("the machine is switched off", timeout=400)
