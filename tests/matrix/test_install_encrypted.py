"""A system with /, /data and swap in LUKS: installed, its passphrase typed at the serial console, looked at by ssh."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from photonbuild.machines.drive import BootDrive
from photonbuild.machines.qemu import Machine
from tests.support.installs import InstallLab, ended, finished
from tests.support.published import wait_for_boot
from tests.support.terminal import Terminal

pytestmark = pytest.mark.matrix

NAME = "encrypted.yaml"
FILE = Path(__file__).parents[1] / "data/kickstarts" / NAME
SECRET = "battery staple"
PROMPT = r"Passphrase for luks-[-0-9a-f]{36} \(/dev/[-a-z/0-9]+\): "
TIMEOUT = 300.0


def unlock(terminal: Terminal, *words: str) -> None:
    """Answer the initramfs."""
    for word in words:
        terminal.wait_for(PROMPT, timeout=TIMEOUT)
        terminal.type(f"{word}\r")


def asked(machine: Machine, command: str) -> str:
    return machine.ssh(command, timeout=120).stdout.strip()


def holds(disk: Path, text: bytes) -> bool:
    """Whether the text is anywhere on the disk, in the clear."""
    rest = b""
    with open(disk, "rb") as handle:
        while piece := handle.read(16 << 20):
            if text in rest + piece:
                return True
            rest = piece[-len(text) :]
    return False


def require_encrypted(machine: Machine) -> None:
    for where in ("findmnt -no SOURCE /", "findmnt -no SOURCE /data", "swapon --noheadings --raw --show=NAME"):
        device = asked(machine, where)
        mapped = asked(machine, f"lsblk --noheadings --nodeps --output NAME {device}")
        assert mapped.startswith("luks-")
        status = asked(machine, f"cryptsetup status {mapped}")
        for line in (r"type:\s+LUKS2", r"cipher:\s+aes-xts-plain64", r"keysize:\s+512"):
            assert re.search(line, status), status
    assert asked(machine, "findmnt -no FSTYPE /boot") == "ext4"


def require_argon2(machine: Machine) -> None:
    dumps = asked(machine, "for d in $(blkid -t TYPE=crypto_LUKS -o device); do cryptsetup luksDump $d; done")
    assert len(re.findall(r"Version:\s+2\n", dumps)) == 3, dumps
    assert len(re.findall(r"PBKDF:\s+argon2id", dumps)) == 3, dumps
    assert len(re.findall(r"PBKDF:\s+pbkdf2", dumps)) == 2, "the key files"


def test_an_encrypted_system(installs: InstallLab) -> None:
    disk = installs.blank("encrypted")
    disc = installs.disc("ANSWERS", {NAME: FILE.read_text().replace("!param passphrase", SECRET)})
    with installs.medium(
        disk, bus="sata", discs=[disc], words=f"ks=cdrom:/{NAME} installer.poweroff"
    ) as (machine, terminal):  # fmt: skip
        finished(terminal, timeout=900)
        ended(machine, timeout=180)
        assert "its passphrase is given in plain text" in " ".join(terminal.text.split())
        assert SECRET not in terminal.text
    assert not holds(disk, SECRET.encode())
    drive = BootDrive(file=disk, format="raw", bus="sata", writable=True)
    with installs.machine(installs.hardware(boot_drive=drive)) as machine:
        with Terminal(machine) as terminal:
            unlock(terminal, "wrong", SECRET)
            terminal.wait_for("login:", timeout=TIMEOUT)
            assert SECRET not in terminal.text, "it is not echoed"
        wait_for_boot(machine)
        require_encrypted(machine)
        require_argon2(machine)
        keys = asked(machine, "stat --format '%a %U' /etc/cryptsetup-keys.d /etc/cryptsetup-keys.d/* /etc/crypttab")
        assert keys.splitlines() == ["700 root", "600 root", "600 root", "600 root"]
        units = asked(machine, "systemctl list-units --plain --no-legend 'systemd-cryptsetup@*'")
        assert units.count(" active exited ") == 3, units
        script = f"journalctl --no-pager | grep -c '{SECRET}'; grep -rl '{SECRET}' /var/log /etc /boot; true"
        assert asked(machine, script) == "0", "the passphrase is nowhere"
        # A kernel that comes, or comes again, gets its modules and its place in /boot.
        asked(machine, "rm /boot/usr/lib/modules/*/initrd && update-initramfs")
        machine.shut_down()
    with installs.machine(installs.hardware(boot_drive=drive)) as machine:
        with Terminal(machine) as terminal:
            unlock(terminal, SECRET)
            # What is typed is lost when the terminal is closed before it is read.
            terminal.wait_for("login:", timeout=TIMEOUT)
        wait_for_boot(machine)
        machine.shut_down()


def test_an_encrypted_volume(installs: InstallLab) -> None:
    """A root on LVM in LUKS, with a passphrase that the console is asked for; three wrong ones, and a shell."""
    volume = {"vg_name": "group", "lv_name": "root"}
    partitions = [{"mountpoint": "/boot", "size": 200}, {"mountpoint": "/", "size": 0, "lvm": volume, "luks": {}}]
    disk = installs.blank("encrypted-volume")
    disc = installs.disc("ANSWERS", {"volume.json": installs.kickstart(partitions=partitions)})
    with installs.medium(disk, discs=[disc], words="ks=cdrom:/volume.json installer.poweroff") as (machine, terminal):
        for word in (SECRET, "another", SECRET, SECRET):
            terminal.wait_for("passphrase for the encrypted partitions: ", "the same again: ", timeout=TIMEOUT)
            terminal.type(f"{word}\r")
        finished(terminal, timeout=900)
        ended(machine, timeout=180)
        assert "these are two different passphrases" in terminal.text and SECRET not in terminal.text
    drive = BootDrive(file=disk, format="raw", bus="virtio", writable=True)
    with installs.machine(installs.hardware(boot_drive=drive)) as machine:
        with Terminal(machine) as terminal:
            unlock(terminal, "wrong", "wrong", "wrong")
            terminal.wait_for(r"/dev/\S+ was not opened in 3 tries", timeout=TIMEOUT)
            terminal.type("exit\r")
            unlock(terminal, SECRET)
            # What is typed is lost when the terminal is closed before it is read.
            terminal.wait_for("login:", timeout=TIMEOUT)
        wait_for_boot(machine)
        mapped = asked(machine, "lsblk -ndo NAME $(findmnt -no SOURCE /)")
        assert mapped.startswith("luks-")
        assert re.search(r"device:\s+/dev/mapper/group-root\n", asked(machine, f"cryptsetup status {mapped}"))
        machine.shut_down()
