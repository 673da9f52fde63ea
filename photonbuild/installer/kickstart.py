"""A kickstart file as frozen data. Every mistake of a file is reported at once, with file, line and key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photonbuild.documents import Document, Problem, fail, parse_json, parse_yaml, read_text
from photonbuild.installer.failures import KickstartError
from photonbuild.installer.fields import Fault, check
from photonbuild.installer.schema import CRYPTED, KICKSTART

BIOS, EFI, DUALBOOT = "bios", "efi", "dualboot"
EXT4, XFS, VFAT, SWAP = "ext4", "xfs", "vfat", "swap"
ESP_MOUNTPOINT = "/boot/efi"
# mkfs.xfs(8) makes no smaller one.
XFS_MINIMUM = 300


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Where a logical volume belongs."""

    group: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Filesystem:
    """One entry of `partitions`. `size` in MiB, 0 for the rest; None when it is given in percent of the disk.

    `number` tells entries apart that are otherwise the same.
    """

    number: int = 0
    filesystem: str = EXT4
    mountpoint: str = ""
    size: int | None = None
    percent: int | None = None
    mkfs_options: str = ""
    mount_options: str = ""
    volume: Volume | None = None


@dataclass(frozen=True, kw_only=True)
class Link:
    """A card, or with `vlan` a VLAN over the card with the key `parent`."""

    key: str
    match_name: str = ""
    match_mac: str = ""
    dhcp4: bool = False
    dhcp6: bool = False
    accept_ra: bool | None = None
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    vlan: int | None = None
    parent: str = ""


@dataclass(frozen=True, kw_only=True)
class Repository:
    name: str
    baseurl: str


@dataclass(frozen=True, kw_only=True)
class Kickstart:
    """What to install, as checked. `password` is crypted, and None when nobody shall log in with one."""

    name: str
    disk: str
    hostname: str = ""
    password: str | None = None
    password_age: int | None = None
    public_key: str = ""
    filesystems: tuple[Filesystem, ...] = (Filesystem(mountpoint="/", size=0),)
    bootmode: str = DUALBOOT
    packages: tuple[str, ...] = ()
    repositories: tuple[Repository, ...] = ()
    links: tuple[Link, ...] = ()
    services: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, str], ...] = ()
    postinstall: tuple[str, ...] = ()
    log_level: str = "info"
    eject: bool = True


def load(path: Path, *, name: str | None = None) -> Kickstart:
    """Read and check a file. Raises ConfigError."""
    name = name or str(path)
    return parse(read_text(path, name), name)


def parse(text: str, name: str) -> Kickstart:
    """Check JSON or YAML. Raises ConfigError with every mistake, each with the file's `name` and its line."""
    is_json = name.endswith(".json") or (not name.endswith((".yaml", ".yml")) and text.lstrip().startswith("{"))
    return from_document(parse_json(text, name) if is_json else parse_yaml(text, name))


def from_document(document: Document) -> Kickstart:
    if not isinstance(document.data, dict):
        raise fail(document.name, [Problem(line=1, message="a mapping of keys to values is expected")])
    faults = list(check(document.data, KICKSTART))
    faulty = {fault.loc[0] for fault in faults if fault.loc}
    for keys, find in CROSS_CHECKS:
        if not faulty & set(keys):
            faults.extend(find(document.data))
    if faults:
        problems = [Problem(line=document.line(f.loc, key=f.key), message=f.message) for f in faults]
        error = fail(document.name, problems)
        raise KickstartError(error.message, where=error.where, detail=error.detail)
    return _kickstart(document.name, document.data)


def _password_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    password = data.get("password")
    if password is None:
        return
    if "shadow_password" in data:
        yield Fault(loc=("shadow_password",), message="give 'password' or 'shadow_password', not both", key=True)
    if not password["crypted"]:
        message = "a password in plain text is refused: crypt it with 'openssl passwd -6' and set 'crypted: true'"
        yield Fault(loc=("password", "crypted"), message=message)
    elif not re.fullmatch(CRYPTED, password["text"]):
        message = "key 'password.text': this is no crypted password ('openssl passwd -6' makes one), nor '*'"
        yield Fault(loc=("password", "text"), message=message)


def _hostname_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    inner = data.get("network", {}).get("hostname")
    if inner and data.get("hostname", inner) != inner:
        message = f"'{inner}' contradicts 'hostname', which is '{data['hostname']}'"
        yield Fault(loc=("network", "hostname"), message=message)


def _partition_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    entries: Sequence[Mapping[str, Any]] = data.get("partitions", [{"mountpoint": "/", "size": 0}])
    for number, entry in enumerate(entries):
        for key, message in _entry_faults(entry):
            # A key that is not there has the line of its partition.
            yield Fault(loc=("partitions", number, key), message=f"partition {number + 1}: {message}")
    mountpoints = [entry.get("mountpoint", "") for entry in entries]
    volumes = [(entry["lvm"]["vg_name"], entry["lvm"]["lv_name"]) if "lvm" in entry else None for entry in entries]
    for number, (mountpoint, volume) in enumerate(zip(mountpoints, volumes, strict=True)):
        if mountpoint and mountpoint in mountpoints[:number]:
            yield Fault(loc=("partitions", number, "mountpoint"), message=f"'{mountpoint}' is already mounted above")
        if volume and volume in volumes[:number]:
            yield Fault(loc=("partitions", number, "lvm"), message=f"'{volume[1]}' is already in '{volume[0]}'")
    rest = [number for number, entry in enumerate(entries) if entry.get("size") == 0]
    for number in rest[1:]:
        yield Fault(
            loc=("partitions", number, "size"),
            message=f"only one can take the rest of the disk (size 0): partition {rest[0] + 1} does",
        )
    if "/" not in mountpoints:
        yield Fault(loc=("partitions",), message="no partition is mounted at '/'", key=True)
    if sum(entry.get("sizepercent", 0) for entry in entries) > 100:
        yield Fault(loc=("partitions",), message="the percentages add up to more than 100", key=True)


def _entry_faults(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    filesystem, mountpoint = entry.get("filesystem", EXT4), entry.get("mountpoint", "")
    if ("size" in entry) == ("sizepercent" in entry):
        yield "sizepercent", "either 'size' or 'sizepercent' is needed"
    if filesystem == SWAP and mountpoint:
        yield "mountpoint", "swap is not mounted"
    if filesystem != SWAP and not mountpoint:
        yield "filesystem", "key 'mountpoint' is missing"
    if (filesystem == VFAT) != (mountpoint == ESP_MOUNTPOINT):
        yield "filesystem", f"'{ESP_MOUNTPOINT}' and only that is vfat, not '{mountpoint or filesystem}'"
    if filesystem == XFS and 0 < entry.get("size", 0) < XFS_MINIMUM:
        yield "size", f"an XFS file system has at least {XFS_MINIMUM} MiB, not {entry['size']}"
    if "lvm" in entry and mountpoint in ("/boot", ESP_MOUNTPOINT):
        yield "lvm", f"'{mountpoint}' cannot be a logical volume"
    if entry.get("fs_options", "").startswith("-"):
        yield "fs_options", "these are words for mkfs: write them as 'mkfs_options'"
    if filesystem == SWAP and "mkfs_options" in entry:
        yield "mkfs_options", "swap takes no such options"
    if entry.get("mkfs_options", "").count("'") % 2 or entry.get("mkfs_options", "").count('"') % 2:
        yield "mkfs_options", "a quotation mark is not closed"


def _network_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    network = data.get("network", {})
    cards, vlans = network.get("ethernets", {}), network.get("vlans", {})
    for key, card in cards.items():
        if "match" in card and not card["match"]:
            yield Fault(loc=("network", "ethernets", key, "match"), message="give a 'name' or a 'macaddress' to match")
        if key in vlans:
            yield Fault(loc=("network", "vlans", key), message=f"'{key}' is the key of a card already", key=True)
    for key, vlan in vlans.items():
        loc = ("network", "vlans", key, "link")
        card = cards.get(vlan["link"])
        if card is None:
            known = ", ".join(cards) or "none"
            yield Fault(loc=loc, message=f"there is no card '{vlan['link']}' under 'ethernets' (there are: {known})")
        elif re.search(r"[*?\[]", card.get("match", {}).get("name", "")):
            yield Fault(loc=loc, message=f"'{vlan['link']}' may be more than one card: give its name without wildcards")


CrossCheck = Callable[[Mapping[str, Any]], Iterator[Fault]]
# Mistakes in how keys go together; each is looked for where the keys that it reads are right by themselves.
CROSS_CHECKS: tuple[tuple[tuple[str, ...], CrossCheck], ...] = (
    (("password", "shadow_password"), _password_faults),
    (("hostname", "network"), _hostname_faults),
    (("partitions",), _partition_faults),
    (("network",), _network_faults),
)


def _kickstart(name: str, data: Mapping[str, Any]) -> Kickstart:
    password = data.get("password", {})
    key = data.get("public_key", "")
    repositories = data.get("repos", {}).items()
    filesystems = tuple(
        _filesystem(number, entry)
        for number, entry in enumerate(data.get("partitions", [{"mountpoint": "/", "size": 0}]), 1)
    )
    network = data.get("network", {})
    cards = [_link(key, card) for key, card in network.get("ethernets", {}).items()]
    vlans = [_link(key, vlan) for key, vlan in network.get("vlans", {}).items()]
    packages = dict.fromkeys([*data.get("packages", ()), *data.get("additional_packages", ())])
    text = data.get("shadow_password", password.get("text", "*"))
    return Kickstart(
        name=name,
        disk=data["disk"],
        hostname=data.get("hostname", network.get("hostname", "")),
        password=None if set(text) <= set("*!") else text,
        password_age=password.get("age"),
        public_key=(key if isinstance(key, str) else key["key"]).strip(),
        filesystems=filesystems,
        bootmode=data.get("bootmode", DUALBOOT),
        packages=tuple(packages),
        repositories=tuple(
            Repository(name=key, baseurl=repo["baseurl"]) for key, repo in repositories if repo.get("enabled", True)
        ),
        links=(*cards, *vlans),
        services=dict(data.get("services", {})),
        files=tuple(pair for entry in data.get("additional_files", ()) for pair in entry.items()),
        postinstall=tuple(data.get("postinstall", ())),
        log_level=data.get("log_level", "info"),
        eject=data.get("eject_cdrom", True),
    )


def _filesystem(number: int, entry: Mapping[str, Any]) -> Filesystem:
    lvm = entry.get("lvm")
    return Filesystem(
        number=number,
        filesystem=entry.get("filesystem", EXT4),
        mountpoint=entry.get("mountpoint", ""),
        size=entry.get("size"),
        percent=entry.get("sizepercent"),
        mkfs_options=entry.get("mkfs_options", ""),
        mount_options=entry.get("fs_options", ""),
        volume=Volume(group=lvm["vg_name"], name=lvm["lv_name"]) if lvm else None,
    )


def _link(key: str, entry: Mapping[str, Any]) -> Link:
    match, names = entry.get("match", {}), entry.get("nameservers", {})
    vlan = entry.get("id")
    return Link(
        key=key,
        match_name=match.get("name", "" if match else key),
        match_mac=match.get("macaddress", ""),
        dhcp4=entry.get("dhcp4", False),
        dhcp6=entry.get("dhcp6", False),
        accept_ra=entry.get("accept-ra"),
        addresses=tuple(entry.get("addresses", ())),
        gateway=entry.get("gateway", ""),
        nameservers=tuple(names.get("addresses", ())),
        search=tuple(names.get("search", ())),
        vlan=vlan,
        parent=entry.get("link", ""),
    )
