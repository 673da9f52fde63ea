"""The installer without a machine: kickstarts, facts, plans as tables; a machine that is a folder with fake tools."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from photonbuild.errors import ConfigError
from photonbuild.installer import __main__
from photonbuild.installer.kickstart.model import Kickstart
from photonbuild.installer.kickstart.parse import parse
from photonbuild.installer.machine.facts import Disk, Facts
from photonbuild.installer.machine.kernel import Kernel
from photonbuild.installer.paths import Paths
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import Command, Plan, Write
from photonbuild.installer.terminals import Terminals

GIB, MIB = 1 << 30, 1 << 20
HASH = "$6$saltstring$" + "a" * 86
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me@here"
GOOD: dict[str, Any] = {"disk": "/dev/sda", "hostname": "h", "public_key": KEY}
LVM_ROOT = {"mountpoint": "/", "size": 0, "lvm": {"vg_name": "sys-1", "lv_name": "root"}}
LVM = {"vg_name": "g", "lv_name": "v"}
ROOT_PARTITION = {"mountpoint": "/", "size": 0}


def kickstart(**data: Any) -> Kickstart:
    return parse(json.dumps({"disk": "/dev/sda", **data}), "ks.json")


def wrong(**data: Any) -> str:
    """The one mistake in otherwise good data."""
    with pytest.raises(ConfigError) as caught:
        kickstart(**data)
    assert caught.value.exit_code == 2
    assert caught.value.detail is None, caught.value.detail
    return caught.value.message


def mistakes(text: str, name: str = "ks.yaml") -> list[str]:
    """Every reported mistake, with its line but without the file's name."""
    with pytest.raises(ConfigError) as caught:
        parse(textwrap.dedent(text), name)
    lines = (caught.value.detail or str(caught.value)).splitlines()
    return [line.removeprefix(f"{name}:") for line in lines]


def facts(**changes: Any) -> Facts:
    base = Facts(
        disk=Disk(path="/dev/sda", size=8 * GIB),
        firmware="bios",
        root_size=300 * MIB,
        identity="0123456789abcdef",
        today=20000,
        filesystems=frozenset({"ext4", "xfs", "vfat"}),
        os_release={"ID": "phos", "PRETTY_NAME": "Phos 1.0"},
        units=frozenset({"a.service", "getty@.service"}),
        command_line="BOOT_IMAGE=/boot/vmlinuz root=live:LABEL=X ks=cdrom:/k installer console=ttyS0,115200 quiet",
    )
    return replace(base, **changes)


def commands(plan: Plan) -> list[str]:
    return [" ".join(step.argv) for step in plan.steps if isinstance(step, Command)]


def written(plan: Plan) -> dict[str, str]:
    return {step.path: step.text for step in plan.steps if isinstance(step, Write)}


def table(plan: Plan, sector: int = 512) -> list[dict[str, str]]:
    """Partitions as sfdisk is told, sizes in MiB."""
    script = next(step.input for step in plan.steps if isinstance(step, Command) and step.argv[0] == "sfdisk")
    rows = [
        dict(word.strip().split("=") for word in line.split(",")) for line in script.splitlines() if "start" in line
    ]
    return [{**row, "size": str(int(row["size"]) * sector // MIB)} for row in rows]


def sizes(**data: Any) -> list[tuple[str, int]]:
    plan = make_plan(kickstart(**data), facts())
    return [(row["name"].strip('"'), int(row["size"])) for row in table(plan)]


def paths(folder: Path) -> Paths:
    return Paths(
        root=folder / "root", medium=folder / "medium", target=folder / "run/target", work=folder / "run/work",
        media=folder / "run/media", grub=folder / "grub", initramfs=folder / "none",
        packages=folder / "medium/packages", log=folder / "log/installer.log",
    )  # fmt: skip


@dataclass(frozen=True)
class FakeMachine:
    """A machine in a folder: its kernel's files, its disks as sparse files, its live system, its tools."""

    folder: Path
    kernel: Kernel
    paths: Paths
    calls: Path

    @property
    def disk(self) -> Path:
        return self.folder / "dev/sda"

    def called(self) -> list[str]:
        lines = self.calls.read_text(encoding="utf-8").splitlines() if self.calls.exists() else []
        return [line.replace(str(self.folder), "") for line in lines if line]

    def install(self, data: dict[str, Any] | str, *words: str) -> int:
        path = self.folder / "medium/ks.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
        return __main__.main(["--kickstart", "cdrom:/ks.json", *words], paths=self.paths, kernel=self.kernel)


TOOL = """#!/bin/sh
name=${0##*/}
case "$name $*" in
"udevadm info"*) cat "$FAKE_ROOT/udev/${*##*/}"; exit ;;
wipefs*--json*) for device; do :; done; cat "$FAKE_ROOT/signatures/${device##*/}" || exit 1; exit ;;
esac
echo "$name $*" >>"$FAKE_CALLS"
case "$name $*" in $FAKE_FAILURE) echo "$name: it broke" >&2; exit 3 ;; esac
case $name in
sfdisk) cat >"$FAKE_ROOT/table"; : >"$FAKE_ROOT/dev/sda1" ;;
cp) exec /bin/cp "$@" ;;
rpm) case "$*" in
  *--query*) echo "filesystem 1.0 1.0-1" ;;
  *--test*) [ -z "$FAKE_RPM" ] || { echo "$FAKE_RPM"; exit 1; } ;;
  esac ;;
tdnf)
  [ ! -e "$FAKE_ROOT/tdnf/said" ] || { cat "$FAKE_ROOT/tdnf/said" >&2; exit 1; }
  case "$*" in *" list "*) cat "$FAKE_ROOT/tdnf/list"; exit ;; esac
  for word; do case $word in --downloaddir=*) folder=${word#*=} ;; esac; done
  /bin/mkdir -p "$folder" && /bin/cp "$FAKE_ROOT"/tdnf/*.rpm "$folder" && cat "$FAKE_ROOT/tdnf/plan" ;;
grub-mkimage) while [ "$1" != -o ]; do shift; done; head -c 2000 /dev/zero >"$2" ;;
chroot) root=$1; shift; while [ "${1%%/*}" ]; do shift; done; exec /bin/sh -c "cd $root && . .$1" ;;
esac
"""
TOOLS = (
    "wipefs", "sfdisk", "udevadm", "mkfs.ext4", "mkfs.vfat", "mount", "umount", "cp", "sync", "grub-mkimage", "chroot",
    "systemctl", "rpm", "tdnf",
)  # fmt: skip


def fake_machine(folder: Path) -> FakeMachine:
    """A machine that is set up in `folder`; PATH has to lead to its tools."""
    for name, text in {
        "sys/block/sda/size": f"{4 * GIB // 512}\n",
        "sys/block/sda/ro": "0\n",
        "sys/block/sda/dev": "8:0\n",
        "sys/block/sda/diskseq": "5\n",
        "sys/block/sda/sda1/dev": "8:1\n",
        "sys/block/sda/sda1/partition": "1\n",
        "udev/sda": "DEVNAME=/dev/sda\nID_SERIAL=Virtual_disk_QM1\nID_SERIAL_SHORT=QM1\n",
        "signatures/sda": "",
        "signatures/sda1": "",
        "sys/block/sda/device/model": "Virtual disk\n",
        "sys/block/sr0/size": "1000\n",
        "proc/filesystems": "nodev\tproc\n\text4\n\tvfat\n",
        "proc/self/mountinfo": "1 0 0:2 / / rw - overlay live rw\n",
        "proc/swaps": "Filename Type\n",
        "proc/cmdline": "root=live:LABEL=X installer console=ttyS0 quiet\n",
        "root/usr/lib/os-release": 'ID=phos\nPRETTY_NAME="Phos 1.0"\n',
        "root/etc/shadow": "root:!*:::::::\n",
        "root/etc/fstab": "live /var tmpfs x-initrd.mount 0 0\n",
        "root/var/log/README": "",
        "grub/i386-pc/boot.img": "b" * 512,
        "root/usr/lib/systemd/system/a.service": "",
        "root/usr/lib/systemd/system/docker.service": "",
        "medium/motd": "hello\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "dev").mkdir()
    with open(folder / "dev/sda", "wb") as handle:
        handle.truncate(4 * GIB)
    tools = folder / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).write_text(TOOL)
        (tools / name).chmod(0o755)
    for name in ("sh", "cat", "head", "env", "install"):
        (tools / name).symlink_to(f"/bin/{name}")
    made = FakeMachine(folder, Kernel(root=folder), paths(folder), folder / "calls")
    configure(made)
    return made


def configure(made: FakeMachine, *, failure: str = "-", rpm: str = "") -> None:
    """Make a call that matches the pattern `failure` fail, and rpm --test say `rpm`."""
    # What run() passes on of the environment is fixed, so the settings of the fakes are in the tools' own text.
    settings = f"FAKE_CALLS='{made.calls}'; FAKE_ROOT='{made.folder}'; FAKE_RPM='{rpm}'\n"
    for name in TOOLS:
        text = TOOL.replace("$FAKE_FAILURE", failure).replace("#!/bin/sh\n", f"#!/bin/sh\n{settings}")
        (made.folder / "tools" / name).write_text(text)


def answer_of_tdnf(made: FakeMachine, *names: str, listed: Sequence[str] = (), said: str = "") -> None:
    """It has the packages `listed` (name=version), and fetches files of these names; or fails with what it has said."""
    folder = made.folder / "tdnf"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.rpm").write_text(name)
    there = [dict(zip(("Name", "Evr"), text.split("="), strict=True)) for text in listed]
    (folder / "list").write_text(json.dumps(there))
    forms = [re.fullmatch(r"(?P<Name>.+)-(?P<Evr>[^-]+-[^-]+)\.(?P<Arch>[^.]+)", name) for name in names]
    plan = [{**form.groupdict(), "Repo": "own"} for form in forms if form]
    assert len(plan) == len(names), f"NAME-VERSION-RELEASE.ARCH is expected: {names}"
    (folder / "plan").write_text(json.dumps({"Install": plan}))
    if said:
        (folder / "said").write_text(said)


def add_signature(made: FakeMachine, device: str, **signature: str) -> None:
    """What wipefs is to find on sda, sda1 …"""
    (made.folder / "signatures" / device).write_text(json.dumps({"signatures": [signature]}))


def add_disk(made: FakeMachine, name: str, **files: str) -> None:
    """Another disk of 4 GiB in the machine; `files` of its folder in sysfs, with two underscores for a slash."""
    for file, text in {"size": f"{4 * GIB // 512}", **files}.items():
        path = made.folder / "sys/block" / name / file.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    with open(made.folder / "dev" / name, "wb") as handle:
        handle.truncate(4 * GIB)
    (made.folder / "signatures" / name).touch()


def terminal(text: str) -> tuple[Terminals, int]:
    """Terminals that are answered by `text`; what they show comes out of the other end."""
    ask, answer = os.pipe()
    out, show = os.pipe()
    os.write(answer, text.encode())
    os.close(answer)
    return Terminals([(ask, show)]), out
