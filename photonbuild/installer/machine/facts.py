"""What a plan needs to know of the machine that it is made for, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.installer.fetch.repository import Package
from photonbuild.installer.paths import Paths


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A disk and its size in bytes; `in_use` says by what, and is empty for one that can be installed onto."""

    path: str
    size: int
    model: str = ""
    in_use: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A network card: its name and its MAC address."""

    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A file or folder of `additional_files` that has been brought into the live system, and where it goes."""

    source: str
    path: Path
    destination: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One machine, for one kickstart. `disk` is the one that the kickstart names, by its real path.

    `root_size`: bytes of all files to copy. `volume_groups`: devices by name of the group. `identity` is random:
    what is named after it is this installation's own. `today`: days since 1970. `packages`: paths of files to install;
    `available`: all that the repositories have. `units`: files of systemd units in the system. `resolver`: the folder
    of the running resolver's files, empty without one.
    """

    paths: Paths = field(default_factory=Paths)
    disk: Disk
    firmware: str
    root_size: int
    identity: str
    today: int
    filesystems: frozenset[str] = frozenset()
    volume_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    has_lvm_initramfs: bool = False
    packages: tuple[Path, ...] = ()
    available: tuple[Package, ...] = ()
    additional_files: tuple[LocalFile, ...] = ()
    shadow: str = "root:!*:::::::\n"
    authorized_keys: str = ""
    os_release: Mapping[str, str] = field(default_factory=dict)
    command_line: str = ""
    resolver: str = ""
    cards: tuple[Card, ...] = ()
    units: frozenset[str] = frozenset()
