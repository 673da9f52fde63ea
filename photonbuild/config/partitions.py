"""What the disks of an image consist of, in ``build/images/*.yaml``; ``build/filesystems.yaml``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from photonbuild.config.customisation import Growing
from photonbuild.config.validation import Model, Names
from photonbuild.config.values import InnerPath

GIB = 1 << 30


def _bytes(value: object) -> object:
    """'512 MiB', '8 GiB' → bytes; what is no text is left for the model to refuse."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([1-9][0-9]*) ?(MiB|GiB)", value)
    if match is None:
        raise ValueError(f"a whole number of MiB or GiB is expected, like '8 GiB', not '{value}'")
    return int(match[1]) << (20 if match[2] == "MiB" else 30)


Size = Annotated[int, BeforeValidator(_bytes, json_schema_input_type=str), Field(ge=1 << 20, multiple_of=1 << 20)]
FileSystem = Literal["ext4", "xfs", "btrfs"]
# A path within a file system: no leading slash, no "." and "..".
Subvolume = Annotated[str, Field(pattern=r"^[A-Za-z0-9_@-][A-Za-z0-9_.@-]*(/[A-Za-z0-9_@-][A-Za-z0-9_.@-]*)*$")]
Label = Annotated[str, Field(pattern=r"^[a-z0-9]{1,12}$")]
VolumeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
Options = tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.=:-]+$")], ...]


class FileSystemNeeds(Model):
    """What it takes to use a file system: `tools` are packages of ours that make one, in addition to the image seed;
    `packages` belong to every image with such a file system, to check, repair and grow it."""

    tools: Names = ()
    packages: Names = ()


class FileSystems(Model):
    """``build/filesystems.yaml``. `lvm`: what it takes to have volume groups."""

    filesystems: dict[FileSystem, FileSystemNeeds]
    lvm: FileSystemNeeds = FileSystemNeeds()


class DataPartition(Growing):
    """A partition with a file system of its own, mounted at `path`, with what the image has there in it.

    `name`: the label. `filesystem`: that of the root, if not set. `subvolumes`: paths within a btrfs, made as such.
    With `volume_group` in place of a path it belongs to that one, and what has no size then takes what is left of its
    disk.
    """

    added = frozenset({"volume_group", "subvolumes"})
    name: Label
    path: InnerPath | None = None
    size: Size | None = None
    filesystem: FileSystem | None = None
    options: Options = ("nodev", "nosuid")
    subvolumes: tuple[Subvolume, ...] = ()
    volume_group: VolumeName | None = None

    @model_validator(mode="after")
    def _one_use(self) -> DataPartition:
        if (self.path is None) == (self.volume_group is None):
            raise ValueError("either 'path' or 'volume_group' is needed, and not both")
        if self.volume_group and self.model_fields_set & {"filesystem", "options", "subvolumes"}:
            raise ValueError("'filesystem', 'options' and 'subvolumes' belong to the volumes of a group")
        if self.subvolumes and self.filesystem != "btrfs":
            raise ValueError(f"partition '{self.name}': subvolumes are of btrfs")
        if self.path and self.size is None:
            raise ValueError("'size' is missing: only what belongs to a volume group takes what is left")
        return self


class FurtherDisk(Model):
    """A disk besides the first, in a file of its own: with `partitions`, a volume group's as a whole, or blank."""

    name: Label
    size: Size
    partitions: tuple[DataPartition, ...] = ()
    volume_group: VolumeName | None = None

    @model_validator(mode="after")
    def _one_use(self) -> FurtherDisk:
        if self.partitions and self.volume_group:
            raise ValueError("either 'partitions' or 'volume_group', and not both")
        return self


class Volume(Growing):
    """A logical volume with a file system, mounted at `path`, or with swap. Without `size` it takes what is left."""

    added = frozenset({"subvolumes"})
    name: VolumeName
    path: InnerPath | None = None
    size: Size | None = None
    filesystem: Literal[FileSystem, "swap"] | None = None
    options: Options = ("nodev", "nosuid")
    subvolumes: tuple[Subvolume, ...] = ()

    @field_validator("path", mode="before")
    @classmethod
    def _no_root(cls, value: object) -> object:
        if value == "/":
            raise ValueError("the root needs an initramfs on a volume, which an image has not: /var and others can")
        return value

    @model_validator(mode="after")
    def _one_use(self) -> Volume:
        if (self.path is None) != (self.filesystem == "swap"):
            raise ValueError("a volume has a 'path', or 'filesystem: swap' and none")
        if self.path is None and self.size is None:
            raise ValueError("'size' is missing: only a file system takes what is left")
        if self.subvolumes and self.filesystem != "btrfs":
            raise ValueError(f"volume '{self.name}': subvolumes are of btrfs")
        return self


class VolumeGroup(Model):
    """A volume group of LVM; the partitions and disks that it lies on name it."""

    name: VolumeName
    volumes: tuple[Volume, ...] = ()
