"""A kickstart as frozen data under the names of its keys. Defaults are in `keys`; what has none is None or empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BIOS, EFI, DUALBOOT = "bios", "efi", "dualboot"
EXT4, XFS, VFAT, SWAP = "ext4", "xfs", "vfat", "swap"
# Of `services`, each with the command of systemctl(1).
SERVICE_STATES = {"enabled": "enable", "disabled": "disable", "masked": "mask"}
LOG_LEVELS = ("error", "warning", "info", "debug")
ESP_MOUNTPOINT = "/boot/efi"


@dataclass(frozen=True, kw_only=True)
class LogicalVolume:
    """`lvm` of a partition: names of its volume group and of itself."""

    vg_name: str
    lv_name: str


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One of `partitions`. `size` in MiB, 0 for the rest; None when it is given in percent of the disk.

    `number` tells those apart that are otherwise the same.
    """

    number: int = 0
    filesystem: str
    mountpoint: str = ""
    size: int | None = None
    sizepercent: int | None = None
    mkfs_options: str = ""
    fs_options: str = ""
    lvm: LogicalVolume | None = None


@dataclass(frozen=True, kw_only=True)
class Interface:
    """One of `network.ethernets`, or with `vlan_id` one of `network.vlans`, over the card with the key `link`."""

    key: str
    match_name: str = ""
    match_macaddress: str = ""
    dhcp4: bool = False
    dhcp6: bool = False
    accept_ra: bool | None = None
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    vlan_id: int | None = None
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """One of `repos` that is enabled."""

    name: str
    baseurl: str


@dataclass(frozen=True, kw_only=True)
class Kickstart:
    """What to install, as checked; `name` is what messages call the file.

    `password` is crypted, and None when nobody shall log in with one. `packages` has `additional_packages` too.
    `additional_files` are pairs of source and destination.
    """

    name: str
    disk: str
    hostname: str
    password: str | None
    password_age: int | None
    public_key: str
    partitions: tuple[Partition, ...]
    bootmode: str
    packages: tuple[str, ...]
    repos: tuple[Repository, ...]
    interfaces: tuple[Interface, ...]
    services: Mapping[str, str]
    additional_files: tuple[tuple[str, str], ...]
    postinstall: tuple[str, ...]
    log_level: str
    eject_cdrom: bool
