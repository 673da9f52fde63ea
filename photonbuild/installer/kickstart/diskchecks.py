"""Mistakes in how disks and partitions of a kickstart go together. The data has the defaults of all keys in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from photonbuild.disk.gpt import MIB
from photonbuild.disk.limits import BTRFS_MINIMUM, XFS_MINIMUM
from photonbuild.disk.lvm import is_reserved
from photonbuild.documents import nearest
from photonbuild.installer.kickstart.convert import disk_of, subvolumes, targets
from photonbuild.installer.kickstart.kinds import Fault
from photonbuild.installer.kickstart.model import BTRFS, DEFAULT, ESP_MOUNTPOINT, SWAP, VFAT, XFS, Subvolume
from photonbuild.installer.kickstart.remarks import is_bare

Entry = Mapping[str, Any]


def disk_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    if "disks" not in data:
        if "disk" not in data:
            yield Fault(loc=(), message="key 'disk' is missing")
        return
    if "disk" in data:
        yield Fault(loc=("disk",), message="give 'disk' or 'disks', not both", key=True)
    elif DEFAULT not in data["disks"]:
        yield Fault(loc=("disks",), message=f"one of the disks must be called '{DEFAULT}': the machine starts from it")
    seen: dict[str, str] = {}
    for name, disk in data["disks"].items():
        if "device" in disk and "filename" in disk:
            yield Fault(loc=("disks", name), message=f"the disk '{name}' is a 'device' or a 'filename', not both")
        elif "device" not in disk and "filename" not in disk:
            yield Fault(loc=("disks", name), message=f"the disk '{name}' has neither a 'device' nor a 'filename'")
        elif "filename" in disk and "size" not in disk:
            yield Fault(loc=("disks", name), message=f"the image file of the disk '{name}' needs a 'size' in MiB")
        elif "size" in disk and "device" in disk:
            message = f"the disk '{name}' has the size that it has: 'size' goes with 'filename'"
            yield Fault(loc=("disks", name, "size"), message=message, key=True)
        place = disk.get("device") or disk.get("filename")
        if place and place in seen:
            yield Fault(loc=("disks", name), message=f"the disks '{seen[place]}' and '{name}' are one: {place}")
        seen.setdefault(place, name)


def partition_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    entries: list[Entry] = data["partitions"]
    known = targets(data)
    disks = [disk_of(entry, known) for entry in entries]
    for number, entry in enumerate(entries):
        for key, message in _entry_faults(entry, disks[number]):
            # A key that is not there has the line of its partition.
            yield Fault(loc=("partitions", number, key), message=f"partition {number + 1}: {message}")
        if known and disks[number] not in {target.id for target in known}:
            there = nearest(disks[number], [target.id for target in known])
            message = f"partition {number + 1}: there is no disk '{disks[number]}'{there}"
            yield Fault(loc=("partitions", number, "disk_id"), message=message)
    yield from _repeated(entries)
    yield from _groups(entries, disks)
    yield from _kernels(entries)
    if "/" not in [entry.get("mountpoint") for entry in entries]:
        yield Fault(loc=("partitions",), message="no partition is mounted at '/'", key=True)
    for disk in dict.fromkeys(disks):
        yield from _sizes([(number, entry) for number, entry in enumerate(entries) if disks[number] == disk])


def _kernels(entries: list[Entry]) -> Iterator[Fault]:
    """They need a place of their own where GRUB does not read `/`."""
    if "/boot" in [entry.get("mountpoint") for entry in entries]:
        return
    for number, entry in enumerate(entries):
        reasons = {
            "luks": "'/' is encrypted, and GRUB asks for no passphrase" if "luks" in entry else "",
            "filesystem": "'/' is a Btrfs, where GRUB cannot count starts" if entry["filesystem"] == BTRFS else "",
        }
        for key, reason in reasons.items():
            if reason and entry.get("mountpoint") == "/":
                message = f"partition {number + 1}: {reason}: add a partition with 'mountpoint: /boot' for the kernels"
                yield Fault(loc=("partitions", number, key), message=message)


def _repeated(entries: list[Entry]) -> Iterator[Fault]:
    mountpoints = [entry.get("mountpoint", "") for entry in entries]
    taken = set(mountpoints)
    for number, entry in enumerate(entries):
        for message in _subvolume_faults([*subvolumes(entry.get("btrfs", {}))], taken):
            yield Fault(loc=("partitions", number, "btrfs"), message=f"partition {number + 1}: {message}")
    volumes = [(entry["lvm"]["vg_name"], entry["lvm"]["lv_name"]) if "lvm" in entry else None for entry in entries]
    for number, (mountpoint, volume) in enumerate(zip(mountpoints, volumes, strict=True)):
        if mountpoint and mountpoint in mountpoints[:number]:
            yield Fault(loc=("partitions", number, "mountpoint"), message=f"'{mountpoint}' is already mounted above")
        if volume and volume in volumes[:number]:
            yield Fault(loc=("partitions", number, "lvm"), message=f"'{volume[1]}' is already in '{volume[0]}'")


def _subvolume_faults(found: list[Subvolume], taken: set[str]) -> Iterator[str]:
    """Mount points are of all partitions together: those of these subvolumes are added to `taken`."""
    paths = [each.path for each in found]
    for number, each in enumerate(found):
        if each.path in paths[:number]:
            yield f"there is a subvolume '{each.path}' already"
        if each.mountpoint and each.mountpoint in taken:
            yield f"subvolume '{each.path}': something is mounted at '{each.mountpoint}' already"
        if each.mountpoint in ("/", "/boot", ESP_MOUNTPOINT):
            yield f"subvolume '{each.path}': '{each.mountpoint}' cannot be a subvolume"
        if each.fs_options and not each.mountpoint:
            yield f"subvolume '{each.path}': 'fs_options' are for mounting, and it has no 'mountpoint'"
        taken.add(each.mountpoint)


def _groups(entries: list[Entry], disks: list[str]) -> Iterator[Fault]:
    """A volume group is one partition, or one whole disk."""
    places: dict[str, str] = {}
    for number, entry in enumerate(entries):
        group = entry.get("lvm", {}).get("vg_name", "")
        if group and places.setdefault(group, disks[number]) != disks[number]:
            message = f"the volume group '{group}' is on the disk '{places[group]}' already, and is of one disk"
            yield Fault(loc=("partitions", number, "lvm"), message=message)
        if not entry.get("all_disk") or is_bare(entry):
            continue
        for other, beside in enumerate(entries):
            mine = group and beside.get("lvm", {}).get("vg_name") == group
            if other != number and disks[other] == disks[number] and not mine:
                message = f"partition {number + 1} takes the whole disk '{disks[number]}', as 'all_disk' says"
                yield Fault(loc=("partitions", other), message=f"partition {other + 1}: {message}")


def _sizes(entries: list[tuple[int, Entry]]) -> Iterator[Fault]:
    """Of the partitions of one disk, with their numbers."""
    if any(entry.get("all_disk") for _, entry in entries) and len(entries) == 1:
        return
    rest = [number for number, entry in entries if entry.get("size") == 0]
    for number in rest[1:]:
        yield Fault(
            loc=("partitions", number, "size"),
            message=f"only one can take the rest of the disk (size 0): partition {rest[0] + 1} does",
        )
    percentages = sum(entry.get("sizepercent", 0) * (2 if entry.get("ab") else 1) for _, entry in entries)
    if percentages > 100:
        yield Fault(loc=("partitions",), message="the percentages add up to more than 100", key=True)
    sized = [n for n, entry in entries if "size" in entry and entry.get("mountpoint") != ESP_MOUNTPOINT]
    if percentages == 100 and sized:
        message = f"the percentages add up to 100, and leave nothing for partition {sized[0] + 1}"
        yield Fault(loc=("partitions", sized[0], "size"), message=message)


def _entry_faults(entry: Entry, disk: str) -> Iterator[tuple[str, str]]:
    filesystem, mountpoint = entry["filesystem"], entry.get("mountpoint", "")
    whole = entry.get("all_disk")
    if whole and disk == DEFAULT:
        yield "all_disk", f"the disk '{DEFAULT}' has a partition table: the machine starts from it"
    if is_bare(entry):
        return
    if ("size" in entry and "sizepercent" in entry) or not (whole or "size" in entry or "sizepercent" in entry):
        yield "sizepercent", "either 'size' or 'sizepercent' is needed"
    if filesystem == SWAP and mountpoint:
        yield "mountpoint", "swap is not mounted"
    if filesystem != SWAP and not mountpoint:
        yield "filesystem", "key 'mountpoint' is missing"
    if (filesystem == VFAT) != (mountpoint == ESP_MOUNTPOINT):
        yield "filesystem", f"'{ESP_MOUNTPOINT}' and only that is vfat, not '{mountpoint or filesystem}'"
    if mountpoint == ESP_MOUNTPOINT and disk != DEFAULT:
        yield "disk_id", f"'{ESP_MOUNTPOINT}' is on the disk '{DEFAULT}': the machine starts from it"
    if filesystem == XFS and 0 < entry.get("size", 0) * MIB < XFS_MINIMUM and not whole:
        yield "size", f"an XFS file system has at least {XFS_MINIMUM // MIB} MiB, not {entry['size']}"
    if filesystem == BTRFS and 0 < entry.get("size", 0) * MIB < BTRFS_MINIMUM and not whole:
        yield "size", f"a Btrfs has at least {BTRFS_MINIMUM // MIB} MiB, not {entry['size']}"
    if len(entry.get("btrfs", {}).get("label", "").encode()) > 255:
        yield "btrfs", "the label is longer than 255 bytes"
    if "btrfs" in entry and filesystem != BTRFS:
        yield "btrfs", f"it is of the file system {BTRFS}, not of {filesystem}"
    if "lvm" in entry and mountpoint in ("/boot", ESP_MOUNTPOINT):
        yield "lvm", f"'{mountpoint}' cannot be a logical volume"
    if "lvm" in entry and is_reserved(entry["lvm"]["lv_name"]):
        yield "lvm", f"'{entry['lvm']['lv_name']}': LVM has names like this for parts of volumes"
    if "luks" in entry and mountpoint in ("/boot", ESP_MOUNTPOINT):
        yield "luks", f"'{mountpoint}' cannot be encrypted: GRUB asks for no passphrase"
    if entry.get("ab") and (
        "luks" in entry or "lvm" in entry or whole or filesystem == SWAP or mountpoint == ESP_MOUNTPOINT
    ):
        yield "ab", "there is no second one of a logical volume, an encrypted partition, a whole disk, swap or the ESP"
    if filesystem == SWAP and "mkfs_options" in entry:
        yield "mkfs_options", "swap takes no such options"
    for key in ("mkfs_options", "fs_options"):
        if str(entry.get(key, "")).count("'") % 2 or str(entry.get(key, "")).count('"') % 2:
            yield key, "a quotation mark is not closed"
