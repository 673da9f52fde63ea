"""The disks of the machine, what is on them, what they are in use for, and the volume groups on them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from photonbuild.errors import PhotonbuildError
from photonbuild.installer.errors import DiskError, MachineError
from photonbuild.installer.machine.facts import Disk, Signature
from photonbuild.installer.machine.kernel import Kernel, mounts
from photonbuild.installer.paths import Paths
from photonbuild.run import run

# Of /sys/block/*/size, whatever the disk's own is.
SECTOR = 512
# Devices that are no disks to install onto: memory, floppies, CDs, other devices' views, a card's own small areas.
OTHER_DEVICES = r"(ram|loop|zram|fd|sr|nbd|dm-)\d+|md.*|mmcblk\d+(boot\d+|rpmb|gp\d+)"
# File systems over several disks. Of what libblkid calls raid, LVM tells itself what belongs together.
OVER_SEVERAL = ("btrfs", "bcachefs", "zfs_member")
LVM_MEMBER = "LVM2_member"
# What wipefs(8) is asked for.
COLUMNS = ("type", "usage", "uuid", "label")
# Forms of the key `disk` besides a path, as mount(8) and lsblk(8) write them, and the properties of udev that lsblk
# takes for them, the first that there is. Our lsblk is built before udev and asks it nothing.
TAGS = {
    "SERIAL": ("SCSI_IDENT_SERIAL", "ID_SCSI_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"),
    "WWN": ("ID_WWN_WITH_EXTENSION", "ID_WWN"),
}


def disks(kernel: Kernel, paths: Paths) -> list[Disk]:
    """Every disk, with what is on it and what it is in use for. Raises MachineError without the programs for it."""
    mounted = mounts(kernel)
    found = []
    for folder in sorted((kernel.root / "sys/block").glob("*")):
        base = f"sys/block/{folder.name}"
        # What has several ways to it is one disk, and the ways are hidden.
        if re.fullmatch(OTHER_DEVICES, folder.name) or kernel.text(f"{base}/hidden") == "1":
            continue
        size = int(kernel.text(f"{base}/size") or 0) * SECTOR
        if not size:
            continue
        vendor = kernel.text(f"{base}/device/vendor")
        # Where it is a number, it says nothing to a reader.
        named = "" if vendor.startswith("0x") else vendor
        path, partitions = _device(kernel, folder), tuple(_device(kernel, part) for part in _partitions(folder))
        signatures, unreadable = _signatures((path, *partitions))
        serial, wwn = _identity(path)
        disk = Disk(
            path=path,
            size=size,
            sector=int(kernel.text(f"{base}/queue/logical_block_size") or SECTOR),
            model=_printable(" ".join(f"{named} {kernel.text(f'{base}/device/model')}".split())),
            serial=serial,
            wwn=wwn,
            sysfs=os.path.realpath(folder),
            sequence=kernel.text(f"{base}/diskseq"),
            partitions=partitions,
            signatures=signatures,
            in_use=_in_use(kernel, folder, mounted, paths) or unreadable,
        )
        found.append(disk)
    return [disk if disk.in_use else replace(disk, in_use=_shared(disk, found)) for disk in found]


def _device(kernel: Kernel, folder: Path) -> str:
    """/dev/NAME of a folder of sysfs, where a slash is an exclamation mark."""
    return kernel.device(folder.name.replace("!", "/"))


def _partitions(folder: Path) -> list[Path]:
    return sorted((path.parent for path in folder.glob("*/partition")), key=lambda path: (len(path.name), path.name))


def _printable(text: str) -> str:
    """What a disk says of itself goes to a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text).strip()


def _output(argv: Sequence[str], key: str) -> list[dict[str, Any]]:
    """Rows of a program of util-linux that writes JSON. Raises DiskError with what it complains of, MachineError."""
    done = run(argv, check=False, error=MachineError)
    if done.returncode:
        raise DiskError(_printable((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]))
    try:
        answer = json.loads(done.stdout or "{}")
    except (ValueError, RecursionError) as error:
        raise DiskError(f"{argv[0]} writes no JSON: {error}") from None
    rows = answer.get(key) or [] if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DiskError(f"{argv[0]} writes no list of {key}")
    return rows


def _identity(device: str) -> tuple[str, str]:
    """Serial and WWN of a disk, as udev has asked it for them; empty where it has none."""
    done = run(["udevadm", "info", "--query=property", f"--name={device}"], check=False, error=MachineError)
    known = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    serial, wwn = (next((known[key] for key in keys if known.get(key)), "") for keys in TAGS.values())
    return _printable(serial), _printable(wwn)


def _signatures(devices: Sequence[str]) -> tuple[tuple[Signature, ...], str]:
    """Everything that wipefs(8) recognises on a disk and its partitions; and why not, where it cannot be read."""
    found = []
    for device in devices:
        argv = ["wipefs", "--json", f"--output={','.join(COLUMNS).upper()}", device]
        try:
            rows = _output(argv, "signatures")
        except DiskError as error:
            return (), f"it cannot be read: {error.message}"
        for row in rows:
            said = {key: _printable(str(row[key])) for key in COLUMNS if row.get(key)}
            if "type" not in said:
                return (), "it cannot be read: wipefs finds something that it does not name"
            found.append(Signature(device=device, **said))
    # A table has several places that are recognised.
    return tuple(dict.fromkeys(found)), ""


def _shared(disk: Disk, known: Sequence[Disk]) -> str:
    """An array or file system that is on another disk as well, which would be damaged."""
    for mine in disk.signatures:
        if mine.type == LVM_MEMBER or (mine.usage != "raid" and mine.type not in OVER_SEVERAL):
            continue
        for other in known:
            if other.path != disk.path and any(
                (each.type, each.uuid) == (mine.type, mine.uuid) for each in other.signatures
            ):
                name = f"{mine.type} '{mine.label}'" if mine.label else mine.type
                return (
                    f"{mine.device} and {other.path} are members of one {name} (wipefs --all {mine.device} ends that)"
                )
    return ""


def _users(kernel: Kernel, folder: Path) -> Iterator[Path]:
    """The disk, its partitions, and every device that is made of one of them, however far up."""
    waiting = [folder, *_partitions(folder)]
    while waiting:
        device = waiting.pop(0)
        yield device
        waiting += [kernel.root / "sys/block" / holder.name for holder in sorted(device.glob("holders/*"))]


def _in_use(kernel: Kernel, folder: Path, mounted: dict[str, str], paths: Paths) -> str:
    if (folder / "ro").exists() and (folder / "ro").read_text().strip() == "1":
        return "it is read-only"
    swaps = [line.split()[0] for line in kernel.text("proc/swaps").splitlines()[1:] if line.split()]
    users = list(_users(kernel, folder))
    for user in users:
        name, base = f"/dev/{user.name.replace('!', '/')}", str(user.relative_to(kernel.root))
        point = mounted.get(kernel.text(f"{base}/dev"), "") or mounted.get(name, "")
        if point == str(paths.medium):
            return "this system runs from it"
        if point:
            return f"{name} is mounted at {point}"
        if name in swaps:
            return f"{name} is in use as swap"
    for user in users[1 + len(_partitions(folder)) :]:
        # Volumes of LVM go with their group; an array or an encrypted device would have to be taken apart first.
        mapped = kernel.text(f"sys/block/{user.name}/dm/uuid")
        if mapped.startswith("CRYPT-"):
            name = kernel.text(f"sys/block/{user.name}/dm/name")
            return f"{name} is open, and encrypted on it (cryptsetup close {name} ends that)"
        if not mapped.startswith("LVM-"):
            return f"/dev/{user.name} is made of it"
    return ""


def find_disk(name: str, kernel: Kernel, paths: Paths) -> Disk:
    """The disk that the kickstart names. Raises DiskError when it is not there, no disk, or in use."""
    known = disks(kernel, paths)
    tag, equals, value = name.partition("=")
    if equals and tag in TAGS:
        found = [disk for disk in known if value == (disk.serial if tag == "SERIAL" else disk.wwn)]
    else:
        path = os.path.realpath(kernel.root / name.lstrip("/"))
        found = [disk for disk in known if disk.path == path]
        if not found and os.path.exists(path):
            raise DiskError(f"this is no disk: {name}", where="disk", hint=_hint(known))
    if not found:
        raise DiskError(f"there is no such disk: {name}", where="disk", hint=_hint(known))
    if len(found) > 1:
        raise DiskError(f"{len(found)} disks are {name}", where="disk", hint=_hint(found))
    if found[0].in_use:
        raise DiskError(f"{found[0].path} is in use: {found[0].in_use}", where="disk")
    return found[0]


def _hint(known: Sequence[Disk]) -> str:
    return f"disks of this machine: {'; '.join(disk.name for disk in known) or 'none'}"


def require_same(disk: Disk, kernel: Kernel, paths: Paths) -> None:
    """Raises DiskError unless the disk is still there, the same in every respect, and not in use."""
    now = next((found for found in disks(kernel, paths) if found.path == disk.path), None)
    if now == disk:
        return
    if now is not None and now.in_use:
        raise DiskError(f"{now.path} is in use by now: {now.in_use}", where="disk")
    raise DiskError(
        f"this is not the disk any more that was found: {disk.name}, with {disk.content}",
        where="disk",
        detail=f"there is now {now.name}, with {now.content}" if now else f"there is no {disk.path} now",
        hint="nothing was written; start again",
    )


def volume_groups() -> dict[str, tuple[str, ...]]:
    """Devices of each group that LVM knows, by their real paths; none where there is no LVM."""
    argv = ["pvs", "--noheadings", "--separator=|", "--options=vg_name,pv_name"]
    try:
        done = run(argv, check=False)
    except PhotonbuildError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for line in done.stdout.splitlines():
        name, _, device = line.strip().partition("|")
        if name and device:
            path = os.path.realpath(device) if device.startswith("/") else device
            found[name] = (*found.get(name, ()), path)
    return found
