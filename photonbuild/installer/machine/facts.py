"""What a plan needs to know of the machine that it is made for, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.disk.gpt import SECTOR
from photonbuild.installer.kickstart.model import DEFAULT
from photonbuild.installer.machine.kernel import Card, Kernel
from photonbuild.installer.paths import Paths

GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What libblkid recognises on a disk or partition: a file system, a table, a member of an array (see wipefs(8))."""

    device: str
    type: str
    usage: str = ""
    uuid: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A disk: sizes in bytes, `sector` that of its logical sectors, `partitions` the paths of the ones it has.

    `sequence` is the kernel's number of this very disk (another one gets another), `sysfs` where the kernel has it.
    `in_use` says why it cannot be installed onto, and is empty where it can.
    """

    path: str
    size: int
    sector: int = SECTOR
    model: str = ""
    serial: str = ""
    wwn: str = ""
    sysfs: str = ""
    sequence: str = ""
    partitions: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()
    in_use: str = ""

    def has(self, device: str) -> bool:
        """Whether the device is this disk or one of its partitions."""
        return device in (self.path, *self.partitions)

    @property
    def name(self) -> str:
        """What tells it from others, in words."""
        serial = f"serial {self.serial}" if self.serial else ""
        words = [self.path, f"{self.size / GIB:.1f} GiB", self.model, serial, f"WWN {self.wwn}" if self.wwn else ""]
        return ", ".join(word for word in words if word)

    @property
    def content(self) -> str:
        """What is on it, in words."""
        found = []
        for signature in self.signatures:
            label = f" '{signature.label}'" if signature.label else ""
            found.append(f"{signature.type}{label} on {signature.device}")
        return ", ".join(found) or "nothing that is known"


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A file or folder that has been brought into the live system, and where it goes in the new one, if anywhere."""

    source: str
    path: Path
    destination: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One machine, for one kickstart. `disk` is the one that it starts from, by its real path, `more_disks` the others.

    `scripts` are the files of each key that names some, `images` those of container images and `playbooks` of Ansible,
    in the kickstart's order. `user_arguments` are for the kernel.

    `root_size`: bytes of all files to copy. `volume_groups`: devices by name of the group. `identity` is random:
    what is named after it is this installation's own. `today`: days since 1970. `packages`: paths of files to install.
    `memory` in bytes. `secret` is random like `identity`: keys are made of it.
    `units`: files of systemd units in the system. `resolver`: the folder of the running resolver's files, empty without
    one.
    """

    paths: Paths = field(default_factory=Paths)
    kernel: Kernel = field(default_factory=Kernel)
    disk: Disk
    more_disks: Mapping[str, Disk] = field(default_factory=dict)
    firmware: str
    root_size: int
    identity: str
    today: int
    filesystems: frozenset[str] = frozenset()
    volume_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    has_initramfs: bool = False
    packages: tuple[Path, ...] = ()
    additional_files: tuple[LocalFile, ...] = ()
    scripts: Mapping[str, tuple[LocalFile, ...]] = field(default_factory=dict)
    images: tuple[LocalFile | None, ...] = ()
    playbooks: tuple[LocalFile, ...] = ()
    user_arguments: tuple[str, ...] = ()
    shadow: str = "root:!*:::::::\n"
    authorized_keys: str = ""
    os_release: Mapping[str, str] = field(default_factory=dict)
    command_line: str = ""
    resolver: str = ""
    cards: tuple[Card, ...] = ()
    units: frozenset[str] = frozenset()
    memory: int = GIB
    secret: str = field(default="", repr=False)

    @property
    def disks(self) -> dict[str, Disk]:
        """By their names in the kickstart."""
        return {DEFAULT: self.disk, **self.more_disks}
