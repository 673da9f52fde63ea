"""What a disk and the machine of an appliance may be, in ``build/images/*.yaml``; ``build/filesystems.yaml``."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from photonbuild.config.customisation import Growing
from photonbuild.config.validation import Model, Names
from photonbuild.config.values import InnerPath
from photonbuild.disk.limits import BTRFS_MINIMUM, ESP_SIZE, XFS_MINIMUM


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
MINIMUMS: dict[str, int] = {"xfs": XFS_MINIMUM, "btrfs": BTRFS_MINIMUM}
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
    "btrfs": "it is a value: 'filesystem: btrfs' of one of 'partitions', or 'var_filesystem: btrfs'",
    "subvolumes": "they are of one file system: a key of one of 'partitions', or 'var_subvolumes'",
    "raid": "an image is one disk: arrays are made by an installation or afterwards",
    "disks": "an image is one disk: further ones are made by an installation or at the first boot",
}


class DataPartition(Growing):
    """A partition with a file system of its own, mounted at `path`, with what the image has there in it.

    `name`: the label. `filesystem`: that of the root, if not set. `subvolumes`: paths within a btrfs, made as such.
    """

    added = frozenset({"subvolumes"})

    name: Annotated[str, Field(pattern=r"^[a-z0-9]{1,12}$")]
    path: InnerPath
    size: Size
    filesystem: FileSystem | None = None
    options: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.=:-]+$")], ...] = ("nodev", "nosuid")
    subvolumes: tuple[Subvolume, ...] = ()

    @model_validator(mode="after")
    def _subvolumes(self) -> DataPartition:
        if self.subvolumes and self.filesystem != "btrfs":
            raise ValueError(f"partition '{self.name}': subvolumes are of btrfs")
        return self


class Disk(Growing):
    """Sizes of a disk, as ``8 GiB``. With `var`, /var is a file system of its own after a root of `root_size`.

    `filesystem` is that of the root and, without `var_filesystem`, of /var. `partitions` and `swap` come before the
    root. With `read_only` the root is mounted so for ever; what changes is in /var, that of /root and /home in layers
    there.
    """

    model_config = ConfigDict(json_schema_extra={"refused": REFUSED})
    added = frozenset({"swap", "partitions", "read_only", "var_filesystem", "var_subvolumes"})
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

    @property
    def filesystems(self) -> tuple[FileSystem, ...]:
        """Every kind on the disk, the root's first."""
        own = [self.var_filesystem, *(part.filesystem for part in self.partitions)]
        return tuple(dict.fromkeys([self.filesystem, *(kind for kind in own if kind)]))

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
        if self.read_only and not self.var:
            raise ValueError("a root that is read_only needs 'var: true', for all that changes")
        names, paths = [part.name for part in self.partitions], [part.path for part in self.partitions]
        for values, taken in ((names, TAKEN), (paths, {"/var", "/boot", "/usr", "/etc", "/boot/efi"})):
            twice = [value for value in values if values.count(value) > 1 or value in taken]
            if twice:
                raise ValueError(f"partition '{twice[0]}': there is one already, or it cannot be one of its own")
        for part in self.partitions:
            kind = part.filesystem or self.filesystem
            if part.size < MINIMUMS.get(kind, 0):
                raise ValueError(f"partition '{part.name}': {kind} needs at least {MINIMUMS[kind] >> 20} MiB")
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
        kinds = [(self.filesystem, self.root_size or self.size - fixed)]
        kinds += [(self.var_filesystem or self.filesystem, self.size - fixed)] if self.var else []
        for kind, size in kinds:
            if size < (least := MINIMUMS.get(kind, 0)):
                raise ValueError(f"an {kind} file system needs at least {least >> 20} MiB, here are {size >> 20} MiB")
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
