"""What is to be said of values that are right: what happens instead, and what an installation stops for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from photonbuild.installer.kickstart.keys import MSDOS, SELINUX_OFF
from photonbuild.installer.kickstart.kinds import Location
from photonbuild.installer.kickstart.model import BTRFS, DEFAULT
from photonbuild.installer.kickstart.without_effect import FLAVORS, ONE_KERNEL

# The one that the kernel's own package is called after.
KERNEL = FLAVORS[0]
PLACEHOLDER = r"<[^<>\n]*>"


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Something to be known of the value at `loc`; with `refusal` an installation stops for it.

    `of_disks`: it says what an installation needs to write to, which a disk image does not.
    """

    loc: Location
    message: str
    refusal: bool = False
    of_disks: bool = False


def remarks(data: Mapping[str, Any]) -> Iterator[Remark]:
    """Of checked data, with the defaults of all keys in it."""
    for find in (_password, _public_key, _packages, _disks, _partitions, _repositories, _images, _others):
        yield from find(data)


def is_flavor(package: str) -> bool:
    """Whether it is another kernel of the published distribution than the plain one."""
    return package in FLAVORS and package != KERNEL


def _password(data: Mapping[str, Any]) -> Iterator[Remark]:
    if "password" in data and not data["password"]["crypted"]:
        message = "the password stands here in plain text: 'openssl passwd -6' crypts it"
        yield Remark(loc=("password", "text"), message=message)


def _public_key(data: Mapping[str, Any]) -> Iterator[Remark]:
    key = data.get("public_key", "")
    text = key if isinstance(key, str) else key["key"]
    if re.fullmatch(PLACEHOLDER, text):
        yield Remark(loc=("public_key",), message=f"key 'public_key': '{text}' is no key, and lets nobody in")


def _packages(data: Mapping[str, Any]) -> Iterator[Remark]:
    for key in ("packages", "additional_packages", "packages_x86_64"):
        for number, package in enumerate(data.get(key, ())):
            if is_flavor(package):
                yield Remark(loc=(key, number), message=f"package '{package}': {ONE_KERNEL}")


def _disks(data: Mapping[str, Any]) -> Iterator[Remark]:
    partitions: Sequence[Mapping[str, Any]] = data["partitions"]
    disks = data.get("disks", {})
    named = {DEFAULT, *(entry.get("disk_id") or entry.get("disk") or DEFAULT for entry in partitions)}
    for name, disk in disks.items():
        # The older form names a device.
        if not {name, disk.get("device")} & named:
            message = f"no partition is on the disk '{name}': nothing is written to it"
            yield Remark(loc=("disks", name), message=message)
        elif "device" not in disk:
            message = f"the disk '{name}' is the image file '{disk['filename']}': an installation needs a 'device'"
            yield Remark(loc=("disks", name, "filename"), message=message, refusal=True, of_disks=True)
    if data.get("partition_type") == MSDOS:
        message = "key 'partition_type': the partition table is always GPT, which a BIOS starts from as well"
        yield Remark(loc=("partition_type",), message=message)


def _partitions(data: Mapping[str, Any]) -> Iterator[Remark]:
    for number, entry in enumerate(data["partitions"]):
        if entry["filesystem"] == BTRFS and entry.get("mountpoint") == "/boot":
            message = f"partition {number + 1}: '/boot' cannot be a Btrfs: GRUB counts starts there; others can"
            yield Remark(loc=("partitions", number, "filesystem"), message=message, refusal=True)
        if str(entry.get("fs_options", "")).startswith("-"):
            message = f"partition {number + 1}: 'fs_options' are words for mkfs, and taken for 'mkfs_options'"
            yield Remark(loc=("partitions", number, "fs_options"), message=message)
        if entry.get("luks", {}).get("passphrase"):
            message = (
                f"partition {number + 1}: its passphrase is given in plain text; whoever reads the kickstart, or the "
                "parameters it is in, has it"
            )
            yield Remark(loc=("partitions", number, "luks"), message=message)
        if is_bare(entry):
            message = f"partition {number + 1}: it is for nothing, and its disk is left alone"
            yield Remark(loc=("partitions", number), message=message)


def is_bare(entry: Mapping[str, Any]) -> bool:
    """Whether a partition is a whole disk with nothing on it."""
    return bool(entry.get("all_disk")) and "mountpoint" not in entry and "lvm" not in entry


def _repositories(data: Mapping[str, Any]) -> Iterator[Remark]:
    trusted = "no certificate is checked: the packages are whatever anyone on the way makes of them"
    if data["insecure_repo"]:
        yield Remark(loc=("insecure_repo",), message=f"key 'insecure_repo': {trusted}")
    for name, repo in data.get("repos", {}).items():
        if not repo["sslverify"]:
            yield Remark(loc=("repos", name, "sslverify"), message=f"repository '{name}': {trusted}")


def _images(data: Mapping[str, Any]) -> Iterator[Remark]:
    for number, image in enumerate(data.get("docker", {}).get("images", ())):
        name = image.get("name") or image.get("filename")
        verb = "pulled" if image["method"] == "pull" else "loaded"
        message = f"container image '{name}': it is {verb} when the installed system starts for the first time"
        yield Remark(loc=("docker", "images", number), message=message)


def _others(data: Mapping[str, Any]) -> Iterator[Remark]:
    if "ostree" in data:
        message = "key 'ostree': systems are made of packages here, and an OSTree cannot be installed"
        yield Remark(loc=("ostree",), message=message, refusal=True)
    if data.get("arch", "x86_64") != "x86_64":
        message = f"key 'arch': this medium installs x86_64, not {data['arch']}"
        yield Remark(loc=("arch",), message=message, refusal=True)
    security = data.get("security", {})
    if security.get("selinux", SELINUX_OFF) != SELINUX_OFF:
        yield Remark(loc=("security", "selinux"), message="the kernel has no SELinux", refusal=True)
    if security.get("fips"):
        message = "the kernel and the libraries have no FIPS mode"
        yield Remark(loc=("security", "fips"), message=message, refusal=True)
