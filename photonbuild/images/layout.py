"""What is where on a disk image, with identifiers named after the content."""

from __future__ import annotations

from collections.abc import Sequence

from photonbuild.config.disk import Disk
from photonbuild.disk.gpt import (
    BIOS_BOOT,
    BIOS_BOOT_SIZE,
    ESP,
    MARGIN,
    ROOT,
    VAR,
    Partition,
    named_uuid,
)


def partitions(disk: Disk, identity: str) -> tuple[Partition, ...]:
    """BIOS boot, ESP, root and, where the disk has one, /var. The last takes what is left, and grows at first boot."""
    sizes = {BIOS_BOOT: BIOS_BOOT_SIZE, ESP: disk.esp_size, ROOT: disk.root_size or 0}
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
            )
        )
        start += size
    return tuple(result)


def partition(table: Sequence[Partition], name: str) -> Partition:
    return next(part for part in table if part.name == name)
