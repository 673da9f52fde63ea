"""What is where on the disks of an image, with identifiers named after the content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from photonbuild.config.disk import Disk
from photonbuild.config.partitions import DataPartition, FurtherDisk, VolumeGroup
from photonbuild.disk import lvm
from photonbuild.disk.gpt import (
    BIOS_BOOT,
    BIOS_BOOT_SIZE,
    ESP,
    LINUX,
    LVM,
    MARGIN,
    ROOT,
    SWAP,
    VAR,
    Partition,
    named_uuid,
)

# Folders of a root that is read-only which have what changes in layers of /var.
LAYERS, LAYERED = "/var/lib/layers", ("home", "root")


# What the first disk is called among all, here and nowhere else.
FIRST = ""
SWAP_KIND = "swap"


@dataclass(frozen=True, kw_only=True)
class Place:
    """`size` bytes of a disk, from `start` on."""

    disk: str
    start: int
    size: int


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """A file system, or swap area, with the name of its partition or as GROUP/VOLUME. `path` is empty for swap;
    `subvolumes` are paths within it.

    `places` are where it lies: one, unless it is a volume that did not fit in one piece.
    """

    name: str
    label: str
    kind: str
    path: str
    options: tuple[str, ...]
    uuid: str
    places: tuple[Place, ...]
    subvolumes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return sum(place.size for place in self.places)

    @property
    def part(self) -> Partition:
        """As what is made in one piece: on its disk, or in a file of its own."""
        start = self.places[0].start if len(self.places) == 1 else 0
        return Partition(name=self.label, start=start, size=self.size, uuid="", filesystem_uuid=self.uuid)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A volume group, and where each of its physical volumes lies."""

    group: lvm.VolumeGroup
    places: tuple[Place, ...]


def partitions(disk: Disk, identity: str) -> tuple[Partition, ...]:
    """BIOS boot, ESP, root and, where the disk has them, /var and others before the root.

    The last takes what is left, and grows at first boot.
    """
    sizes = {BIOS_BOOT: BIOS_BOOT_SIZE, ESP: disk.esp_size}
    if disk.swap:
        sizes[SWAP] = disk.swap
    sizes |= {part.name: part.size for part in disk.partitions if part.size is not None}
    if disk.root_size:
        sizes[ROOT] = disk.root_size
    sizes[disk.last] = disk.rest
    return _table(sizes, {part.name: _kind(part) for part in disk.partitions}, identity)


def further_partitions(further: FurtherDisk, identity: str) -> tuple[Partition, ...]:
    """Those of another disk; the one without a size is the last."""
    sizes = {part.name: part.size for part in further.partitions if part.size is not None}
    left = further.size - 2 * MARGIN - sum(sizes.values())
    sizes |= {part.name: left for part in further.partitions if part.size is None}
    return _table(sizes, {part.name: _kind(part) for part in further.partitions}, identity)


def _kind(part: DataPartition) -> str:
    return LVM if part.volume_group else LINUX


def _table(sizes: dict[str, int], kinds: dict[str, str], identity: str) -> tuple[Partition, ...]:
    result, start = [], MARGIN
    for name, size in sizes.items():
        result.append(
            Partition(
                name=name,
                start=start,
                size=size,
                uuid=named_uuid(identity, f"partition {name}"),
                filesystem_uuid=named_uuid(identity, f"file system {name}"),
                kind=kinds.get(name, ""),
            )
        )
        start += size
    return tuple(result)


def filesystems(disk: Disk, identity: str) -> tuple[FileSystem, ...]:
    """All of all disks: the root, /var and the other partitions, volumes, and swap, which has no path."""
    own, subvolumes = {ROOT: "/", VAR: "/var", SWAP: ""}, {VAR: disk.var_subvolumes}
    more = {part.name: part for part in disk.all_partitions if part.path}
    found = [
        FileSystem(
            name=part.name,
            label=part.name,
            kind=SWAP_KIND if part.name == SWAP else filesystem_of(disk, part.name),
            path=own[part.name] if part.name in own else more[part.name].path or "",
            options=more[part.name].options if part.name in more else ("nodev", "nosuid"),
            uuid=part.filesystem_uuid,
            places=(Place(disk=where, start=part.start, size=part.size),),
            subvolumes=more[part.name].subvolumes if part.name in more else subvolumes.get(part.name, ()),
        )
        for where, part in _all_partitions(disk, identity)
        if part.name in own or part.name in more
    ]
    for group in disk.volume_groups:
        found += _volumes(disk, group, identity)
    # The root's first: what is below no other mount point belongs to it.
    return tuple(sorted(found, key=lambda each: (each.path != "/", each.path != "/var", not each.path)))


def _all_partitions(disk: Disk, identity: str) -> list[tuple[str, Partition]]:
    found = [(FIRST, part) for part in partitions(disk, identity)]
    return [*found, *((each.name, part) for each in disk.disks for part in further_partitions(each, identity))]


def _volumes(disk: Disk, group: VolumeGroup, identity: str) -> list[FileSystem]:
    places = physical_places(disk, group.name, identity)
    allocated = _allocated(group, places)
    return [
        FileSystem(
            name=f"{group.name}/{volume.name}",
            label=volume.name[:12],
            kind=volume.filesystem or disk.filesystem,
            path=volume.path or "",
            options=volume.options,
            uuid=named_uuid(identity, f"file system {group.name}/{volume.name}"),
            places=tuple(_place(places[each.physical], each) for each in allocated[volume.name]),
            subvolumes=volume.subvolumes,
        )
        for volume in group.volumes
    ]


def _place(physical: Place, segment: lvm.Segment) -> Place:
    start = physical.start + lvm.DATA_START + segment.start * lvm.EXTENT
    return Place(disk=physical.disk, start=start, size=segment.count * lvm.EXTENT)


def physical_places(disk: Disk, group: str, identity: str) -> list[Place]:
    """Where the physical volumes of a group lie: partitions of the first disk, then those of others, or these whole."""
    members = {part.name for part in disk.all_partitions if part.volume_group == group}
    found = [
        Place(disk=where, start=part.start, size=part.size)
        for where, part in _all_partitions(disk, identity)
        if part.name in members
    ]
    return [
        *found,
        *(Place(disk=each.name, start=0, size=each.size) for each in disk.disks if each.volume_group == group),
    ]


def _allocated(group: VolumeGroup, places: Sequence[Place]) -> dict[str, tuple[lvm.Segment, ...]]:
    extents = [lvm.extents_in(place.size) for place in places]
    wanted = {volume.name: lvm.extents_for(volume.size) for volume in group.volumes if volume.size is not None}
    left = sum(extents) - sum(wanted.values())
    # What takes the rest comes last, so that it can grow.
    wanted |= {volume.name: left for volume in group.volumes if volume.size is None}
    return lvm.allocate(wanted, extents)


def volume_groups(disk: Disk, identity: str, *, host: str, time: int) -> tuple[Group, ...]:
    """As LVM has them, with where they are written."""
    found = []
    for group in disk.volume_groups:
        places = physical_places(disk, group.name, identity)
        physical = [
            lvm.PhysicalVolume(id=lvm.identifier(identity, f"{group.name} on {number}"), size=place.size)
            for number, place in enumerate(places)
        ]
        logical = [
            lvm.LogicalVolume(name=name, id=lvm.identifier(identity, f"{group.name}/{name}"), segments=segments)
            for name, segments in _allocated(group, places).items()
        ]
        made = lvm.VolumeGroup(
            name=group.name, id=lvm.identifier(identity, group.name), physical=tuple(physical), logical=tuple(logical),
            host=host, time=time,
        )  # fmt: skip
        found.append(Group(group=made, places=tuple(places)))
    return tuple(found)


def filesystem_of(disk: Disk, name: str) -> str:
    """The kind of file system in the partition of that name."""
    own = {part.name: part.filesystem for part in disk.all_partitions} | {VAR: disk.var_filesystem}
    return own.get(name) or disk.filesystem


def partition(table: Sequence[Partition], name: str) -> Partition:
    return next(part for part in table if part.name == name)
