"""What a disk and the machine of an appliance may be, in ``build/images/*.yaml``; ``build/filesystems.yaml``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from photonbuild.config.customisation import Growing
from photonbuild.config.validation import Model, Names
from photonbuild.config.values import InnerPath
from photonbuild.disk.limits import ESP_SIZE, XFS_MINIMUM


def _bytes(value: object) -> object:
    """'512 MiB', '8 GiB' → bytes; what is no text is left for the model to refuse."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([1-9][0-9]*) ?(MiB|GiB)", value)
    if match is None:
        raise ValueError(f"a whole number of MiB or GiB is expected, like '8 GiB', not '{value}'")
    return int(match[1]) << (20 if match[2] == "MiB" else 30)


Size = Annotated[int, BeforeValidator(_bytes, json_schema_input_type=str), Field(ge=1 << 20, multiple_of=1 << 20)]


FileSystem = Literal["ext4", "xfs"]
GIB = 1 << 30
# What FAT16 can hold: from 4085 clusters of 2 KiB on.
LEAST_ESP, MOST_ESP = 16 << 20, GIB
MOST_DISK = 16 << 40  # ext4 with 32-bit block numbers


class FileSystemNeeds(Model):
    """What it takes to use a file system: `tools` are packages of ours that make one, in addition to the build seed;
    `packages` belong to every image with such a file system, to check, repair and grow it."""

    tools: Names = ()
    packages: Names = ()


class FileSystems(Model):
    """``build/filesystems.yaml``."""

    filesystems: dict[FileSystem, FileSystemNeeds]


# Names that partitions have already.
TAKEN = {"bios", "esp", "root", "var", "swap"}
# What users of other tools look for here.
REFUSED: dict[str, JsonValue] = {
    "lvm": "logical volumes are made by an installation (kickstart), not in an image",
    "luks": "an encrypted disk needs a key of its own machine: an installation makes one, not an image",
    "btrfs": "there is no btrfs in the kernel: ext4 and xfs are",
    "raid": "an image is one disk: arrays are made by an installation or afterwards",
    "disks": "an image is one disk: further ones are made by an installation or at the first boot",
}


class DataPartition(Model):
    """A partition with a file system of its own, mounted at `path`, with what the image has there in it.

    `name`: the label. `filesystem`: that of the root, if not set.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]{1,12}$")]
    path: InnerPath
    size: Size
    filesystem: FileSystem | None = None
    options: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.=:-]+$")], ...] = ("nodev", "nosuid")


class Disk(Growing):
    """Sizes of a disk, as ``8 GiB``. With `var`, /var is a file system of its own after a root of `root_size`.

    `filesystem` is that of the root and of /var. `partitions` and `swap` come before the root. With `read_only` the
    root is mounted so for ever; what changes is in /var, that of /root and /home in layers there.
    """

    model_config = ConfigDict(json_schema_extra={"refused": REFUSED})
    added = frozenset({"swap", "partitions", "read_only"})
    size: Size
    esp_size: Size = ESP_SIZE
    var: bool = False
    root_size: Size | None = None
    filesystem: FileSystem = "ext4"
    swap: Size | None = None
    partitions: tuple[DataPartition, ...] = ()
    read_only: bool = False

    @property
    def filesystems(self) -> tuple[FileSystem, ...]:
        """Every kind on the disk, the root's first."""
        return tuple(dict.fromkeys([self.filesystem, *(p.filesystem for p in self.partitions if p.filesystem)]))

    @model_validator(mode="after")
    def _parts(self) -> Disk:
        if self.read_only and not self.var:
            raise ValueError("a root that is read_only needs 'var: true', for all that changes")
        names, paths = [part.name for part in self.partitions], [part.path for part in self.partitions]
        for values, taken in ((names, TAKEN), (paths, {"/var", "/boot", "/usr", "/etc", "/boot/efi"})):
            twice = [value for value in values if values.count(value) > 1 or value in taken]
            if twice:
                raise ValueError(f"partition '{twice[0]}': there is one already, or it cannot be one of its own")
        for part in self.partitions:
            if (part.filesystem or self.filesystem) == "xfs" and part.size < XFS_MINIMUM:
                raise ValueError(f"partition '{part.name}': xfs needs at least {XFS_MINIMUM >> 20} MiB")
        return self

    @model_validator(mode="after")
    def _sizes(self) -> Disk:
        if self.size > MOST_DISK:
            raise ValueError(f"size is at most {MOST_DISK >> 40} TiB")
        if not LEAST_ESP <= self.esp_size <= MOST_ESP:
            raise ValueError(f"esp_size is {LEAST_ESP >> 20} MiB to {MOST_ESP >> 20} MiB")
        if self.var != (self.root_size is not None):
            raise ValueError("var and root_size go together")
        more = (self.swap or 0) + sum(part.size for part in self.partitions)
        fixed = self.esp_size + more + (self.root_size or 0) + (4 << 20)
        if fixed >= self.size:
            raise ValueError(f"the parts, {fixed >> 20} MiB without the last one, are larger than size")
        least = min(self.size - fixed, self.root_size or self.size)
        if self.filesystem == "xfs" and least < XFS_MINIMUM:
            raise ValueError(f"an xfs file system needs at least {XFS_MINIMUM >> 20} MiB, here are {least >> 20} MiB")
        return self


class Hardware(Model):
    """The virtual machine that an appliance describes; `hardware_family` as VMware numbers them.

    `ovf` is the version of the descriptor's format: 1.1, which every importer takes, or 2.0, which VMware's refuse.
    """

    processors: Annotated[int, Field(ge=1)]
    memory: Size
    scsi: Literal["VirtualSCSI", "lsilogic"] = "VirtualSCSI"
    network: Literal["VMXNET3", "E1000"] = "VMXNET3"
    hardware_family: Annotated[str, Field(pattern=r"^vmx-[0-9]{2}$")] = "vmx-14"
    ovf: Literal["1.1", "2.0"] = "1.1"
