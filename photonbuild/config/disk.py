"""What the disks of an image may be together, in ``build/images/*.yaml``: names, paths, sizes, volume groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue, model_validator

from photonbuild.config.customisation import Growing
from photonbuild.config.partitions import (
    GIB,
    DataPartition,
    FileSystem,
    FurtherDisk,
    Size,
    Subvolume,
    Volume,
    VolumeGroup,
)
from photonbuild.disk.gpt import BIOS_BOOT_SIZE, MARGIN, ROOT, VAR
from photonbuild.disk.limits import BTRFS_MINIMUM, ESP_SIZE, XFS_MINIMUM
from photonbuild.disk.lvm import DATA_START, EXTENT, extents_for, extents_in, is_reserved
from photonbuild.documents import nearest

MINIMUMS: dict[str, int] = {"xfs": XFS_MINIMUM, "btrfs": BTRFS_MINIMUM}
# What FAT16 can hold: from 4085 clusters of 2 KiB on.
LEAST_ESP, MOST_ESP = 16 << 20, GIB
# A SCSI controller of an appliance takes 15 disks.
MOST_FURTHER = 14
MOST_DISK = 16 << 40  # ext4 with 32-bit block numbers
# What users of other tools look for here.
REFUSED: dict[str, JsonValue] = {
    "lvm": "groups are in 'volume_groups', and the partition or disk that one lies on says 'volume_group: NAME'",
    "luks": "an encrypted disk needs a key of its own machine: an installation makes one, not an image",
    "btrfs": "it is a value: 'filesystem: btrfs' of a partition or volume, or 'var_filesystem: btrfs'",
    "subvolumes": "they are of one file system: a key of one of 'partitions' or 'volumes', or 'var_subvolumes'",
    "raid": "an array that a firmware or hypervisor has not made is put together by mdadm on the machine's own disks",
}
# Names that partitions have already, and folders that the system has to have in its root.
TAKEN = {"bios", "esp", "root", "var", "swap"}
NOT_APART = {"/boot", "/usr", "/etc", "/boot/efi"}


class Disk(Growing):
    """Sizes of a disk, as ``8 GiB``. With `var`, /var is a file system of its own after a root of `root_size`.

    `filesystem` is that of the root and, without `var_filesystem`, of /var. `partitions` and `swap` come before the
    root. With `read_only` the root is mounted so for ever; what changes is in /var, that of /root and /home in layers
    there. `disks` are further ones, `volume_groups` lie on partitions and further disks.
    """

    model_config = ConfigDict(json_schema_extra={"refused": REFUSED})
    added = frozenset({"swap", "partitions", "read_only", "var_filesystem", "var_subvolumes", "disks", "volume_groups"})
    size: Size
    esp_size: Size = ESP_SIZE
    var: bool = False
    root_size: Size | None = None
    filesystem: FileSystem = "ext4"
    var_filesystem: FileSystem | None = None
    var_subvolumes: tuple[Subvolume, ...] = ()
    swap: Size | None = None
    partitions: tuple[DataPartition, ...] = ()
    read_only: bool = False
    disks: Annotated[tuple[FurtherDisk, ...], Field(max_length=MOST_FURTHER)] = ()
    volume_groups: tuple[VolumeGroup, ...] = ()

    @property
    def filesystems(self) -> tuple[FileSystem, ...]:
        """Every kind on the disks, the root's first."""
        own = [self.var_filesystem, *(part.filesystem for part in self.all_partitions)]
        found = [self.filesystem, *(kind for kind in own if kind)]
        found += [volume.filesystem for volume in self.volumes if volume.filesystem and volume.filesystem != "swap"]
        return tuple(dict.fromkeys(found))

    @property
    def all_partitions(self) -> tuple[DataPartition, ...]:
        """Those of all disks besides the system's own."""
        return (*self.partitions, *(part for further in self.disks for part in further.partitions))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of all disks."""
        return (self.size, *(further.size for further in self.disks))

    @property
    def volumes(self) -> tuple[Volume, ...]:
        return tuple(volume for group in self.volume_groups for volume in group.volumes)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where partitions and volumes are mounted, besides the root and a /var of `var`."""
        found = (*(part.path for part in self.all_partitions), *(volume.path for volume in self.volumes))
        return tuple(path for path in found if path)

    @property
    def last(self) -> str:
        """The partition of the first disk that takes what is left, by name."""
        unsized = next((part.name for part in self.partitions if part.size is None), None)
        return unsized or (VAR if self.var else ROOT)

    @property
    def rest(self) -> int:
        """Size of the last partition of the first disk."""
        return self.size - self._fixed

    @property
    def _fixed(self) -> int:
        more = (self.swap or 0) + sum(part.size or 0 for part in self.partitions)
        return 2 * MARGIN + BIOS_BOOT_SIZE + self.esp_size + more + (self.root_size or 0)

    @model_validator(mode="after")
    def _btrfs(self) -> Disk:
        if self.filesystem == "btrfs":
            raise ValueError(
                "a root on btrfs needs an initramfs, and an image's disk starts without one: take ext4 or xfs for"
                " 'filesystem', and btrfs as 'var_filesystem' or for 'partitions'; an installation can have it as '/'"
            )
        if self.var_filesystem and not self.var:
            raise ValueError("var_filesystem needs 'var: true'")
        if self.var_subvolumes and self.var_filesystem != "btrfs":
            raise ValueError("var_subvolumes need 'var_filesystem: btrfs'")
        return self

    @model_validator(mode="after")
    def _parts(self) -> Disk:
        var_apart = self.var or "/var" in self.paths
        if self.read_only and not var_apart:
            raise ValueError("a root that is read_only needs 'var: true', for all that changes")
        if problem := next(_name_problems(self), None):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _sizes(self) -> Disk:
        if max(self.sizes) > MOST_DISK:
            raise ValueError(f"size is at most {MOST_DISK >> 40} TiB")
        if not LEAST_ESP <= self.esp_size <= MOST_ESP:
            raise ValueError(f"esp_size is {LEAST_ESP >> 20} MiB to {MOST_ESP >> 20} MiB")
        if (self.last != ROOT) != (self.root_size is not None):
            with_var = "a partition without size" if self.last not in (ROOT, VAR) else "var"
            raise ValueError(f"{with_var} and root_size go together")
        if self.rest <= MARGIN:
            fixed = (self._fixed + MARGIN) >> 20
            raise ValueError(f"the parts, {fixed} MiB without the last one, are larger than size")
        rest = self.rest - MARGIN
        kinds = [(self.filesystem, self.root_size or rest)]
        kinds += [(self.var_filesystem or self.filesystem, rest)] if self.var else []
        for kind, size in kinds:
            if size < (least := MINIMUMS.get(kind, 0)):
                raise ValueError(f"an {kind} file system needs at least {least >> 20} MiB, here are {size >> 20} MiB")
        if problem := next(_size_problems(self), None):
            raise ValueError(problem)
        return self


def _name_problems(disk: Disk) -> Iterator[str]:
    """Names and paths that are there twice or cannot be, groups that are not there or lie on nothing."""
    parts = disk.all_partitions
    var = {"/var"} if disk.var or any(part.path == "/var" for part in disk.partitions) else set()
    paths = list(disk.paths)
    for values, taken in (([part.name for part in parts], TAKEN), (paths, NOT_APART | var)):
        twice = [value for value in values if values.count(value) > 1 or value in taken]
        if twice:
            yield f"partition '{twice[0]}': there is one already, or it cannot be one of its own"
    groups = [group.name for group in disk.volume_groups]
    named = [("disk", [each.name for each in disk.disks]), ("volume group", groups)]
    named += [(f"volume of '{group.name}'", [each.name for each in group.volumes]) for group in disk.volume_groups]
    for what, names in named:
        for name in names:
            if names.count(name) > 1:
                yield f"{what} '{name}' is there twice"
    for volume in disk.volumes:
        if is_reserved(volume.name):
            yield f"volume '{volume.name}': LVM has names like this for parts of volumes"
    used = [part.volume_group for part in parts] + [further.volume_group for further in disk.disks]
    for asked in used:
        if asked is not None and asked not in groups:
            yield f"there is no volume group '{asked}' in volume_groups{nearest(asked, groups)}"
    for name in groups:
        if name not in used:
            yield f"volume group '{name}' lies on nothing: a partition or a further disk says 'volume_group: {name}'"


def _size_problems(disk: Disk) -> Iterator[str]:
    """What does not fit into its disk or its group, or is too small for what it is to be."""
    for where, parts in (
        ("the first disk", disk.partitions),
        *((f"disk '{d.name}'", d.partitions) for d in disk.disks),
    ):
        unsized = [part.name for part in parts if part.size is None]
        if len(unsized) > 1:
            yield f"partitions '{unsized[0]}' and '{unsized[1]}': one of {where} at most takes what is left"
    if disk.var and disk.last != "var":
        yield f"partition '{disk.last}' has no size, and with 'var: true' it is /var that takes what is left"
    for further in disk.disks:
        fixed = 2 * MARGIN + sum(part.size or MARGIN for part in further.partitions)
        if further.partitions and fixed > further.size:
            yield f"disk '{further.name}': its partitions take {fixed >> 20} MiB, and it has {further.size >> 20}"
    made = [(each.name, each.filesystem, each.size) for each in disk.all_partitions if each.path]
    made += [(each.name, each.filesystem, each.size) for each in disk.volumes if each.filesystem != "swap"]
    for name, own, size in made:
        kind = own or disk.filesystem
        if size is not None and size < (least := MINIMUMS.get(kind, 0)):
            yield f"partition '{name}': {kind} needs at least {least >> 20} MiB"
    for group in disk.volume_groups:
        unsized = [volume.name for volume in group.volumes if volume.size is None]
        if len(unsized) > 1:
            yield f"volumes '{unsized[0]}' and '{unsized[1]}': one of '{group.name}' at most takes what is left"
        places = _physical_sizes(disk, group.name)
        if any(extents_in(size) < 1 for size in places):
            yield f"what volume group '{group.name}' lies on has to have {(DATA_START + EXTENT) >> 20} MiB at least"
        there = sum(map(extents_in, places))
        wanted = sum(extents_for(volume.size or EXTENT) for volume in group.volumes)
        if wanted > there:
            sizes = f"{wanted * EXTENT >> 20} MiB, and it has {there * EXTENT >> 20}"
            yield f"the volumes of '{group.name}' take {sizes}, in extents of {EXTENT >> 20} MiB"


def _physical_sizes(disk: Disk, group: str) -> list[int]:
    """Bytes of each partition and each whole disk that the group lies on, those of the first disk first."""
    sizes = [part.size or disk.rest for part in disk.partitions if part.volume_group == group]
    for further in disk.disks:
        if further.volume_group == group:
            sizes.append(further.size)
        left = further.size - 2 * MARGIN - sum(part.size or 0 for part in further.partitions)
        sizes += [part.size or left for part in further.partitions if part.volume_group == group]
    return sizes
