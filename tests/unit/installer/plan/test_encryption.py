"""LUKS: what is encrypted and how, what opens it, and that no passphrase is seen."""

from __future__ import annotations

from typing import Any

import pytest

from photonbuild.disk.gpt import MIB
from photonbuild.installer.errors import DiskError, MachineError
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import Command, Patch, Plan, Write, describe
from tests.support.installer import GIB, commands, facts, kickstart, written

SECRET = "correct horse"
BOOT = {"mountpoint": "/boot", "size": 200}
ROOT = {"mountpoint": "/", "size": 3000, "luks": {"passphrase": SECRET}}
DATA = {"mountpoint": "/data", "size": 0, "filesystem": "xfs", "luks": {}}
SWAP = {"filesystem": "swap", "size": 200, "luks": {}}


def plan(*partitions: dict[str, Any], **changes: Any) -> Plan:
    given = {"has_initramfs": True, "secret": "ab" * 32, "memory": 8 * GIB, **changes}
    return make_plan(kickstart(partitions=list(partitions)), facts(**given))


def inputs(made: Plan, verb: str) -> list[str]:
    return [step.input for step in made.steps if isinstance(step, Command) and step.argv[:2] == ("cryptsetup", verb)]


def test_an_encrypted_root() -> None:
    made = plan(BOOT, ROOT, DATA, SWAP)
    lines = [line for line in commands(made) if line.startswith("cryptsetup")]
    assert [line.split()[1] for line in lines] == [
        "luksFormat", "open", "luksFormat", "luksAddKey", "open", "luksFormat", "luksAddKey", "open",
    ]  # fmt: skip
    assert lines[0].startswith(
        "cryptsetup luksFormat --batch-mode --type=luks2 --cipher=aes-xts-plain64 --key-size=512 --hash=sha256 "
        "--pbkdf=argon2id --pbkdf-memory=1048576 --uuid="
    )
    assert lines[0].endswith(" --key-file=- /dev/sda4")
    texts = written(made)
    root, data, swap = (line.split()[0] for line in sorted(texts["/etc/fstab"].splitlines()) if "mapper" in line)
    root, data, swap = (
        next(line.split()[0] for line in texts["/etc/fstab"].splitlines() if line.split()[1] == where)
        for where in ("/", "/data", "none")
    )
    assert all(each.startswith("/dev/mapper/luks-") for each in (root, data, swap))
    menu = texts["/boot/grub/grub.cfg"]
    assert f"root={root} ro rootwait panic=10 rd.luks.uuid={root.removeprefix('/dev/mapper/luks-')} " in menu
    assert "--fs-uuid" not in menu, "GRUB finds kernels where the menu is"
    assert any(getattr(step, "path", "") == "/boot/usr/lib/modules" for step in made.steps)
    assert "initrd /usr/lib" not in menu
    assert "chroot /run/installer/target /usr/sbin/update-initramfs" in commands(made)


def test_what_opens_it_at_each_start() -> None:
    made = plan(BOOT, ROOT, DATA, SWAP)
    table = [line.split() for line in written(made)["/etc/crypttab"].splitlines()]
    keys = {step.path: step for step in made.steps if isinstance(step, Write) and step.path.endswith(".key")}
    assert sorted(line[2:] for line in table) == sorted([
        ["none", "luks,x-initrd.attach"],
        *[[path, "luks"] for path in keys if path.startswith("/etc/cryptsetup-keys.d/")],
    ])  # fmt: skip
    assert len(keys) == 4 and {step.mode for step in keys.values()} == {0o600}
    assert all(step.secret for step in keys.values())
    assert len({step.text for step in keys.values()}) == 2, "one for each, the same here and there"
    assert [step.live for step in keys.values()].count(True) == 2
    assert inputs(made, "luksFormat") == [SECRET] * 3, "that of / opens everything"


def test_nothing_of_it_is_shown() -> None:
    made = plan(BOOT, ROOT, DATA, SWAP)
    assert SECRET not in describe(made) + repr(made)
    assert not any(step.text in describe(made) for step in made.steps if isinstance(step, Write) and step.secret)
    assert all(SECRET not in line for line in commands(made))
    assert any("its passphrase is given in plain text" in note for note in made.notes)


def test_a_root_that_is_not_encrypted_keeps_no_key() -> None:
    made = plan({"mountpoint": "/", "size": 3000}, {**DATA, "luks": {"passphrase": SECRET}})
    assert written(made)["/etc/crypttab"].split()[2:] == ["none", "luks"]
    assert not [path for path in written(made) if "cryptsetup-keys.d" in path]
    assert "each start waits for the passphrase of /data" in "\n".join(made.notes)
    assert "root=PARTUUID=" in written(made)["/boot/grub/grub.cfg"]
    assert "update-initramfs" not in " ".join(commands(made))


def test_on_a_logical_volume() -> None:
    lvm = {"vg_name": "g", "lv_name": "root"}
    made = plan(BOOT, {**ROOT, "size": 0, "lvm": lvm})
    lines = commands(made)
    assert next(line for line in lines if "luksFormat" in line).endswith(" /dev/mapper/g-root")
    assert [index for index, line in enumerate(lines) if "lvcreate" in line or "luksFormat" in line] == sorted(
        index for index, line in enumerate(lines) if "lvcreate" in line or "luksFormat" in line
    )
    assert "rd.lvm.lv=g/root rd.luks.uuid=" in written(made)["/boot/grub/grub.cfg"]
    undo = [step.undo[:2] for step in made.steps if isinstance(step, Command) and step.undo]
    assert undo[:2] == [("vgchange", "--activate=n"), ("cryptsetup", "close")]


def test_a_container_has_room_in_its_volume() -> None:
    """Where a swap area is smaller than its header says the kernel does not take it."""
    made = plan({"mountpoint": "/", "size": 0}, {**SWAP, "size": 512, "lvm": {"vg_name": "g", "lv_name": "swap"}})
    assert f"--extents={512 // 4} g" in next(line for line in commands(made) if line.startswith("lvcreate"))
    (header,) = (step.content for step in made.steps if isinstance(step, Patch))
    assert int.from_bytes(header[1028:1032], "little") == (512 - 16) * MIB // 4096 - 1


def test_it_takes_no_more_memory_than_the_machine_has() -> None:
    line = next(line for line in commands(plan(BOOT, ROOT, memory=1 * GIB)) if "luksFormat" in line)
    assert f" --pbkdf-memory={256 * 1024} " in line


def test_the_same_facts_the_same_plan() -> None:
    assert plan(BOOT, ROOT, DATA, SWAP) == plan(BOOT, ROOT, DATA, SWAP)
    assert plan(BOOT, ROOT, SWAP, secret="cd" * 32) != plan(BOOT, ROOT, SWAP)


def test_the_header_has_its_place() -> None:
    made = plan(BOOT, ROOT, SWAP)
    header = next(step for step in made.steps if type(step).__name__ == "Patch")
    pages = int.from_bytes(header.content[1028:1032], "little") + 1  # type: ignore[union-attr]
    assert pages * 4096 == (200 - 16) * MIB
    with pytest.raises(DiskError, match="swap has 10 MiB, and needs 17"):
        plan(BOOT, {**ROOT, "size": 0}, {**SWAP, "size": 10})


def test_a_medium_without_an_initramfs() -> None:
    with pytest.raises(MachineError, match="an encrypted '/' needs an initramfs"):
        plan(BOOT, ROOT, has_initramfs=False)
