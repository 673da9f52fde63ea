"""From checked data to a kickstart's frozen model. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from photonbuild.installer.kickstart.keys_network import DHCP, STATIC, VLAN_TYPE
from photonbuild.installer.kickstart.model import (
    DEFAULT,
    ContainerImage,
    Encryption,
    Interface,
    Kickstart,
    LogicalVolume,
    Partition,
    Playbook,
    Repository,
    Scripts,
    Subvolume,
    Target,
)
from photonbuild.installer.kickstart.remarks import PLACEHOLDER, is_bare, is_flavor
from photonbuild.installer.passwords import sha512_crypt

PACKAGE_KEYS = ("packages", "additional_packages", "packages_x86_64")
# Of the older form of the network: its cards, and the first of them, as it was published.
EVERY_CARD, FIRST_CARD = "e*", "eth0"


def to_model(
    name: str,
    data: Mapping[str, Any],
    *,
    notes: tuple[str, ...],
    refusals: tuple[str, ...],
    image_refusals: tuple[str, ...],
    pending: Mapping[str, str],
) -> Kickstart:
    network, nameservers = data.get("network", {}), data.get("network", {}).get("nameservers", {})
    return Kickstart(
        name=name,
        disks=targets(data),
        hostname=data.get("hostname") or ("" if "type" in network else network.get("hostname", "")),
        password=None if {"password.text", "shadow_password"} & set(pending) else _crypted(data),
        password_age=data.get("password", {}).get("age"),
        public_key=_public_key(data),
        partitions=tuple(_partitions(data)),
        bootmode=data["bootmode"],
        packages=without_flavors(data),
        packagelist_files=_listed(data, "packagelist_file", "packagelist_files"),
        additional_rpms_path=data.get("additional_rpms_path", ""),
        repos=tuple(_repositories(data)),
        interfaces=tuple(_interfaces(network, pending)),
        nameservers=tuple(nameservers.get("addresses", ())),
        search=tuple(nameservers.get("search", ())),
        services=dict(data.get("services", {})),
        additional_files=tuple(pair for entry in data.get("additional_files", ()) for pair in entry.items()),
        preinstall=_scripts(data, "preinstall"),
        prepkgsinstall=_scripts(data, "prepkgsinstall"),
        postinstall=_scripts(data, "postinstall"),
        environment=dict(data.get("environment", {})),
        search_path=tuple(data.get("search_path", ())),
        images=tuple(_image(entry) for entry in data.get("docker", {}).get("images", ())),
        playbooks=tuple(_playbook(entry) for entry in data.get("ansible", ())),
        user_grub_cfg_file=data.get("user_grub_cfg_file", ""),
        log_level=data["log_level"],
        eject_cdrom=data["eject_cdrom"],
        notes=notes,
        refusals=refusals,
        image_refusals=image_refusals,
        pending=pending,
    )


def _crypted(data: Mapping[str, Any]) -> str | None:
    """Asterisks and exclamation marks are no password at all."""
    password = data.get("password", {})
    text: str = data.get("shadow_password", password.get("text", ""))
    if password and not password["crypted"] and "shadow_password" not in data:
        return sha512_crypt(text) if text else None
    return text if text.strip("*!") else None


def _public_key(data: Mapping[str, Any]) -> str:
    key = data.get("public_key", "")
    text: str = (key if isinstance(key, str) else key["key"]).strip()
    return "" if re.fullmatch(PLACEHOLDER, text) else text


def without_flavors(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Packages of a kickstart or of a list of packages."""
    named = [package for key in PACKAGE_KEYS for package in data.get(key, ())]
    return tuple(dict.fromkeys(package for package in named if not is_flavor(package)))


def _listed(data: Mapping[str, Any], one: str, several: str) -> tuple[str, ...]:
    return (*data.get(several, ()), *([data[one]] if one in data else []))


def _scripts(data: Mapping[str, Any], key: str) -> Scripts:
    return Scripts(lines=tuple(data.get(key, ())), files=tuple(data.get(f"{key}scripts", ())))


def targets(data: Mapping[str, Any]) -> tuple[Target, ...]:
    """The disks; the older form names the default at the top, and others at their partitions."""
    found = [Target(id=name, **entry) for name, entry in data.get("disks", {}).items()]
    if "disk" in data:
        found.append(Target(id=DEFAULT, device=data["disk"]))
    for entry in data["partitions"]:
        device = entry.get("disk", "")
        if device.startswith("/") and not any(device in (target.id, target.device) for target in found):
            found.append(Target(id=device, device=device))
    return tuple(found)


def disk_of(entry: Mapping[str, Any], known: tuple[Target, ...]) -> str:
    """Name of the disk that a partition is on."""
    named = entry.get("disk_id") or entry.get("disk") or DEFAULT
    return next((target.id for target in known if target.device == named), str(named))


def _partitions(data: Mapping[str, Any]) -> Iterator[Partition]:
    known = targets(data)
    entries = [(number, entry) for number, entry in enumerate(data["partitions"], 1) if not is_bare(entry)]
    whole = [disk_of(entry, known) for _, entry in entries if entry.get("all_disk")]
    for number, entry in entries:
        disk = disk_of(entry, known)
        options, mkfs_options = _options(entry), entry.get("mkfs_options", "")
        if options.startswith("-"):
            options, mkfs_options = "", f"{mkfs_options} {options}".strip()
        alone = bool(entry.get("all_disk")) and whole.count(disk) == 1
        yield Partition(
            number=number,
            filesystem=entry["filesystem"],
            mountpoint=entry.get("mountpoint", ""),
            size=0 if alone else entry.get("size"),
            sizepercent=None if alone else entry.get("sizepercent"),
            mkfs_options=mkfs_options,
            fs_options=options,
            lvm=LogicalVolume(**entry["lvm"]) if "lvm" in entry else None,
            luks=Encryption(**entry["luks"]) if "luks" in entry else None,
            disk_id=disk,
            all_disk=disk in whole,
            ab=entry.get("ab", False),
            label=entry.get("btrfs", {}).get("label", ""),
            subvolumes=tuple(subvolumes(entry.get("btrfs", {}))),
        )


def _options(entry: Mapping[str, Any]) -> str:
    options = entry.get("fs_options", "")
    return options if isinstance(options, str) else ",".join(options)


def subvolumes(entry: Mapping[str, Any], above: str = "") -> Iterator[Subvolume]:
    """Each before those within it."""
    for inner in entry.get("subvols", ()):
        path = f"{above}{inner['name']}"
        yield Subvolume(path=path, mountpoint=inner.get("mountpoint", ""), fs_options=_options(inner))
        yield from subvolumes(inner, f"{path}/")


def _repositories(data: Mapping[str, Any]) -> Iterator[Repository]:
    for name, repo in data.get("repos", {}).items():
        if repo["enabled"]:
            yield Repository(
                name=name,
                baseurl=repo["baseurl"],
                gpgcheck=repo["gpgcheck"],
                gpgkeys=tuple(repo.get("gpgkey", "").split()),
                sslverify=repo["sslverify"] and not data["insecure_repo"],
            )


def _image(entry: Mapping[str, Any]) -> ContainerImage:
    return ContainerImage(
        method=entry["method"],
        name=entry.get("name", ""),
        filename=entry.get("filename", ""),
        tags=tuple(entry.get("tags", ())),
        drop_tag=entry.get("drop-tag", False),
    )


def _playbook(entry: Mapping[str, Any]) -> Playbook:
    def words(key: str) -> tuple[str, ...]:
        value = entry.get(key, ())
        return (value,) if isinstance(value, str) else tuple(value)

    return Playbook(
        playbook=entry["playbook"],
        verbosity=entry["verbosity"],
        extra_vars=words("extra-vars"),
        tags=words("tags"),
        skip_tags=words("skip-tags"),
    )


def _interfaces(network: Mapping[str, Any], pending: Mapping[str, str]) -> Iterator[Interface]:
    if "type" in network:
        yield from () if any(key.startswith("network.") for key in pending) else _older(network)
        return
    for kind in ("ethernets", "vlans", "bonds"):
        for key, entry in network.get(kind, {}).items():
            yield _interface(key, entry)


def _older(network: Mapping[str, Any]) -> Iterator[Interface]:
    """As the published installer's templates have it: `dhcp` is every card, the others mean the first."""
    asking = Interface(key="dhcp", match_name=EVERY_CARD, dhcp4=True, dhcp6=True, accept_ra=False)
    first = replace(asking, key="first", match_name=FIRST_CARD)
    if network["type"] == DHCP:
        yield replace(asking, dhcp_hostname=network.get("hostname", ""))
    elif network["type"] == VLAN_TYPE:
        number = network["vlan_id"]
        yield first
        yield replace(asking, key=f"{FIRST_CARD}.{number}", match_name="", vlan_id=number, link=first.key)
    elif network["type"] == STATIC:
        address = network["ip_addr"]
        if "/" not in address:
            address = f"{address}/{ipaddress.IPv4Network('0.0.0.0/' + network['netmask']).prefixlen}"
        yield Interface(
            key="static",
            match_name=FIRST_CARD,
            addresses=(address,),
            gateway=network["gateway"],
            nameservers=(network["nameserver"],),
        )


def _interface(key: str, entry: Mapping[str, Any]) -> Interface:
    match, nameservers = entry.get("match", {}), entry.get("nameservers", {})
    return Interface(
        key=key,
        match_name=match.get("name", "" if match else key),
        match_macaddress=match.get("macaddress", ""),
        dhcp4=entry["dhcp4"],
        dhcp6=entry["dhcp6"],
        accept_ra=entry.get("accept-ra"),
        addresses=tuple(entry.get("addresses", ())),
        gateway=entry.get("gateway", ""),
        nameservers=tuple(nameservers.get("addresses", ())),
        search=tuple(nameservers.get("search", ())),
        vlan_id=entry.get("id"),
        link=entry.get("link", ""),
        members=tuple(entry.get("interfaces", ())),
        bond=tuple((name, str(value)) for name, value in sorted(entry.get("parameters", {}).items())),
    )
