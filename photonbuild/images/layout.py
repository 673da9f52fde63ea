"""What is where on a disk image, with identifiers named after the content."""

from __future__ import annotations

from collections.abc import Sequence

from photonbuild.config.disk import Disk
from photonbuild.disk.gpt import (
    BIOS_BOOT,
    BIOS_BOOT_SIZE,
    ESP,
    LINUX,
    MARGIN,
    ROOT,
    SWAP,
    VAR,
    Partition,
    named_uuid,
)

# Folders of a root that is read-only which have what changes in layers of /var.
LAYERS, LAYERED = "/var/lib/layers", ("home", "root")


def partitions(disk: Disk, identity: str) -> tuple[Partition, ...]:
    """BIOS boot, ESP, root and, where the disk has them, /var and others before the root.

    The last takes what is left, and grows at first boot.
    """
    sizes = {BIOS_BOOT: BIOS_BOOT_SIZE, ESP: disk.esp_size}
    if disk.swap:
        sizes[SWAP] = disk.swap
    data = {part.name: part.size for part in disk.partitions}
    sizes |= {**data, ROOT: disk.root_size or 0}
    if disk.var:
        sizes[VAR] = 0
    last = VAR if disk.var else ROOT
    sizes[last] = disk.size - 2 * MARGIN - sum(size for name, size in sizes.items() if name != last)
    result, start = [], MARGIN
    for name, size in sizes.items():
        result.append(
            Partition(
                name=name,
                start=start,
                size=size,
                uuid=named_uuid(identity, f"partition {name}"),
                filesystem_uuid=named_uuid(identity, f"file system {name}"),
                kind=LINUX if name in data else "",
            )
        )
        start += size
    return tuple(result)


def mounts(disk: Disk) -> dict[str, str]:
    """Where each file system of the disk is mounted, by the name of its partition, the root's first."""
    var = {VAR: "/var"} if disk.var else {}
    return {ROOT: "/", **var, **{part.name: part.path for part in disk.partitions}}


def filesystem_of(disk: Disk, name: str) -> str:
    """The kind of file system in the partition of that name."""
    own = {part.name: part.filesystem for part in disk.partitions} | {VAR: disk.var_filesystem}
    return own.get(name) or disk.filesystem


def subvolumes_of(disk: Disk, name: str) -> tuple[str, ...]:
    """Paths of subvolumes within the file system in the partition of that name."""
    own = {part.name: part.subvolumes for part in disk.partitions} | {VAR: disk.var_subvolumes}
    return own.get(name, ())


def partition(table: Sequence[Partition], name: str) -> Partition:
    return next(part for part in table if part.name == name)
