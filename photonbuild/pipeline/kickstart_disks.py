"""Disks, partitions and logical volumes of a kickstart as settings of an image. Sizes are in MiB, as it has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from photonbuild.config.models import DiskImage
from photonbuild.disk.gpt import BIOS_BOOT_SIZE, MARGIN, MIB
from photonbuild.disk.lvm import EXTENT
from photonbuild.installer.errors import KickstartError
from photonbuild.installer.kickstart.model import BTRFS, ESP_MOUNTPOINT, EXT4, SWAP, Kickstart, Partition, Target

# Folders that an image has in its root.
IN_ROOT = ("/boot", "/usr", "/etc")
# What has keys of its own in the settings, which say nothing of how it is mounted.
OWN = ("/", "/var", ESP_MOUNTPOINT, SWAP)
# Besides its volumes a group has LVM's own first MiB, and air, as an installation gives it.
GROUP_MORE = 2 * EXTENT // MIB


def disk_settings(kickstart: Kickstart, base: DiskImage, notes: list[str]) -> dict[str, Any]:
    """`disk` of the image's settings. What becomes another thing is told in `notes`. Raises KickstartError."""
    parts = []
    for part in kickstart.partitions:
        _require_plain(kickstart, part)
        if part.mountpoint in IN_ROOT:
            notes.append(f"{kickstart.name}: {part.mountpoint} stays in the root's file system")
        else:
            parts.append(part)
    first, *others = kickstart.used_disks
    settings = _first(kickstart, base, first, [part for part in parts if part.disk_id == first.id], notes)
    settings["filesystem"] = next((part.filesystem for part in parts if part.mountpoint == "/"), EXT4)
    var = next((part for part in parts if _is_var(kickstart, part)), None)
    if var and var.filesystem != settings["filesystem"]:
        settings["var_filesystem"] = var.filesystem
    if var and var.subvolumes:
        settings["var_subvolumes"] = [each.path for each in var.subvolumes]
    further = [_further(kickstart, each, [part for part in parts if part.disk_id == each.id]) for each in others]
    groups = dict.fromkeys(part.lvm.vg_name for part in parts if part.lvm)
    volumes = {name: [part for part in parts if part.lvm and part.lvm.vg_name == name] for name in groups}
    wholes = {each.id: each.size for each in kickstart.used_disks}
    made = [
        {"name": name, "volumes": [_volume(part, wholes[part.disk_id] or base.disk.size // MIB) for part in mine]}
        for name, mine in volumes.items()
    ]
    return {**settings, **({"disks": further} if further else {}), **({"volume_groups": made} if made else {})}


def _is_var(kickstart: Kickstart, part: Partition) -> bool:
    """Is it what an image has as `var`, a partition of the first disk?"""
    return part.mountpoint == "/var" and part.lvm is None and part.disk_id == kickstart.used_disks[0].id


def _first(
    kickstart: Kickstart, base: DiskImage, target: Target, parts: Sequence[Partition], notes: list[str]
) -> dict[str, Any]:
    whole = target.size or base.disk.size // MIB
    plain = {_place(part): part for part in parts if part.lvm is None}
    sizes = {name: _size(part, whole) for name, part in plain.items()}
    _check_first(kickstart, parts, sizes, notes)
    settings: dict[str, Any] = {}
    if sizes.get(ESP_MOUNTPOINT):
        settings["esp_size"] = f"{sizes[ESP_MOUNTPOINT]} MiB"
    if sizes.get(SWAP):
        settings["swap"] = f"{sizes[SWAP]} MiB"
    more = {name: part for name, part in plain.items() if name not in OWN}
    groups = _groups(parts, whole)
    esp = sizes.get(ESP_MOUNTPOINT) or base.disk.esp_size // MIB
    own = (2 * MARGIN + BIOS_BOOT_SIZE) // MIB + 1
    fixed = (
        own + esp + sizes.get(SWAP, 0) + sum(sizes[name] for name in more) + sum(size or 0 for size in groups.values())
    )
    root, var = sizes.get("/", 0), sizes.get("/var")
    if var is not None:
        # The last partition takes what is left, and in an image that is /var.
        root = root or whole - fixed - var
        settings |= {"var": True, "root_size": f"{max(root, 1)} MiB"}
        for name, size in groups.items():
            groups[name] = whole - fixed - root - var if size is None else size
    elif None in groups.values():
        settings["root_size"] = f"{max(root, 1)} MiB"
    made = [_data_partition(part, sizes[name]) for name, part in more.items()]
    made += [_physical(number, name, size) for number, (name, size) in enumerate(groups.items(), 1)]
    least = fixed + root + (var or 0)
    if target.size == 0 and least > whole:
        whole = least
        notes.append(f"{kickstart.name}: the disk is {whole} MiB, what its partitions take")
    return {"size": f"{whole} MiB", **settings, **({"partitions": made} if made else {})}


def _check_first(kickstart: Kickstart, parts: Sequence[Partition], sizes: Mapping[str, int], notes: list[str]) -> None:
    """What would be lost of the partitions of the first disk. Raises KickstartError; what is told is in `notes`."""
    plain = [part for part in parts if part.lvm is None]
    if len([part for part in plain if part.filesystem == SWAP]) > 1:
        message = "an image has one swap area on its first disk: make one of them, or put the others on volumes"
        raise KickstartError(message, where=kickstart.name)
    unsized = [name for name, size in sizes.items() if not size and name not in ("/", "/var")]
    if unsized:
        message = (
            f"{unsized[0]} takes what is left, which in an image only the root, /var or a group can: give it a size"
        )
        raise KickstartError(message, where=kickstart.name)
    for part in plain:
        if part.fs_options and _place(part) in OWN:
            place = _place(part)
            notes.append(f"{kickstart.name}: {place} is mounted as in every image, not with {part.fs_options}")


def _further(kickstart: Kickstart, target: Target, parts: Sequence[Partition]) -> dict[str, Any]:
    name = _label(target.id)
    plain = [part for part in parts if part.lvm is None]
    groups = _groups(parts, target.size)
    fixed = 2 * MARGIN // MIB + sum(_size(part, target.size) for part in plain)
    fixed += sum(size or GROUP_MORE for size in groups.values())
    whole = target.size or fixed
    if any(part.all_disk for part in parts):
        return {"name": name, "size": f"{whole} MiB", "volume_group": min(groups)}
    made: list[dict[str, Any]] = []
    for part in plain:
        size = _size(part, whole) or whole - fixed
        if part.filesystem == SWAP or size < 1:
            what = "swap is on the first disk or on a volume" if part.filesystem == SWAP else "there is no room for it"
            raise KickstartError(f"partition {_place(part)} of '{target.id}': {what}", where=kickstart.name)
        made.append(_data_partition(part, size, label=f"{name}{len(made) + 1}"))
    made += [_physical(f"{name}{number}", group, size) for number, (group, size) in enumerate(groups.items(), 1)]
    return {"name": name, "size": f"{whole} MiB", "partitions": made}


def _groups(parts: Sequence[Partition], whole: int) -> dict[str, int | None]:
    """MiB of the partition of each group; None for the one that takes what is left."""
    groups: dict[str, int | None] = {}
    for name in dict.fromkeys(part.lvm.vg_name for part in parts if part.lvm):
        sizes = [_extents(_size(part, whole)) for part in parts if part.lvm and part.lvm.vg_name == name]
        groups[name] = sum(sizes) + GROUP_MORE if all(sizes) else None
    return groups


def _extents(size: int) -> int:
    return -(-size * MIB // EXTENT) * EXTENT // MIB


def _size(part: Partition, whole: int) -> int:
    """0 for what takes the rest."""
    return part.size if part.size is not None else whole * (part.sizepercent or 0) // 100


def _volume(part: Partition, whole: int) -> dict[str, Any]:
    assert part.lvm is not None
    size = _size(part, whole)
    options = {"options": [each for each in part.fs_options.split(",") if each]} if part.fs_options else {}
    path = {"path": part.mountpoint} if part.mountpoint else {}
    sized = {"size": f"{size} MiB"} if size else {}
    return {"name": part.lvm.lv_name, "filesystem": part.filesystem, **path, **sized, **options, **_subvolumes(part)}


def _physical(name: int | str, group: str, size: int | None) -> dict[str, Any]:
    return {"name": _label(f"pv{name}"), "volume_group": group, **({"size": f"{size} MiB"} if size else {})}


def _data_partition(part: Partition, size: int, *, label: str = "") -> dict[str, Any]:
    name = label or _label(part.mountpoint)
    options = {"options": [each for each in part.fs_options.split(",") if each]} if part.fs_options else {}
    place = {"name": name, "path": part.mountpoint, "size": f"{size} MiB"}
    return {**place, "filesystem": part.filesystem, **options, **_subvolumes(part)}


def _subvolumes(part: Partition) -> dict[str, Any]:
    return {"subvolumes": [each.path for each in part.subvolumes]} if part.subvolumes else {}


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())[-12:] or "data"


def _place(part: Partition) -> str:
    return part.mountpoint or part.filesystem


def _require_plain(kickstart: Kickstart, part: Partition) -> None:
    """Raises KickstartError for what only an installation makes."""
    what = part.mountpoint or part.filesystem
    reasons = {
        "a root on a logical volume, which needs an initramfs": part.lvm is not None and part.mountpoint == "/",
        "a second one of its kind (ab)": part.ab,
        "a disk without a partition table, but for a volume group": part.all_disk and part.lvm is None,
        "encrypted partition (luks: a key is of its own machine)": part.luks is not None,
        "btrfs as its root": part.filesystem == BTRFS and part.mountpoint == "/",
        "mounts of subvolumes": any(each.mountpoint for each in part.subvolumes),
        "mkfs_options": bool(part.mkfs_options),
    }
    for reason, found in reasons.items():
        if found:
            raise KickstartError(f"partition {what}: an image has no {reason.removeprefix('a ')}", where=kickstart.name)
