"""Mistakes in how the keys of a kickstart go together. The data has the defaults of all keys in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from photonbuild.disk.gpt import MIB
from photonbuild.disk.limits import XFS_MINIMUM
from photonbuild.installer.kickstart.kinds import Fault
from photonbuild.installer.kickstart.model import ESP_MOUNTPOINT, SWAP, VFAT, XFS
from photonbuild.installer.kickstart.values import HASH


def _password_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    password = data.get("password")
    if password is None:
        return
    if "shadow_password" in data:
        yield Fault(loc=("shadow_password",), message="give 'password' or 'shadow_password', not both", key=True)
    if not password["crypted"]:
        message = "a password in plain text is refused: crypt it with 'openssl passwd -6' and set 'crypted: true'"
        yield Fault(loc=("password", "crypted"), message=message)
    elif not re.fullmatch(HASH.pattern, password["text"]):
        message = "key 'password.text': this is no crypted password ('openssl passwd -6' makes one), nor '*'"
        yield Fault(loc=("password", "text"), message=message)
    elif password["text"].startswith(("*", "!")) and password.get("age", -1) >= 0:
        message = "without a password there is none to renew: who comes with a key would be locked out; leave 'age' out"
        yield Fault(loc=("password", "age"), message=message)


def _hostname_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    inner = data.get("network", {}).get("hostname")
    if inner and data.get("hostname", inner) != inner:
        message = f"'{inner}' contradicts 'hostname', which is '{data['hostname']}'"
        yield Fault(loc=("network", "hostname"), message=message)


def _partition_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    entries: Sequence[Mapping[str, Any]] = data["partitions"]
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
    percentages = sum(entry.get("sizepercent", 0) for entry in entries)
    if percentages > 100:
        yield Fault(loc=("partitions",), message="the percentages add up to more than 100", key=True)
    sized = [n for n, entry in enumerate(entries) if "size" in entry and entry.get("mountpoint") != ESP_MOUNTPOINT]
    if percentages == 100 and sized:
        message = f"the percentages add up to 100, and leave nothing for partition {sized[0] + 1}"
        yield Fault(loc=("partitions", sized[0], "size"), message=message)


def _entry_faults(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    filesystem, mountpoint = entry["filesystem"], entry.get("mountpoint", "")
    if ("size" in entry) == ("sizepercent" in entry):
        yield "sizepercent", "either 'size' or 'sizepercent' is needed"
    if filesystem == SWAP and mountpoint:
        yield "mountpoint", "swap is not mounted"
    if filesystem != SWAP and not mountpoint:
        yield "filesystem", "key 'mountpoint' is missing"
    if (filesystem == VFAT) != (mountpoint == ESP_MOUNTPOINT):
        yield "filesystem", f"'{ESP_MOUNTPOINT}' and only that is vfat, not '{mountpoint or filesystem}'"
    if filesystem == XFS and 0 < entry.get("size", 0) * MIB < XFS_MINIMUM:
        yield "size", f"an XFS file system has at least {XFS_MINIMUM // MIB} MiB, not {entry['size']}"
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
# Each with the keys that it reads.
CROSS_CHECKS: tuple[tuple[tuple[str, ...], CrossCheck], ...] = (
    (("password", "shadow_password"), _password_faults),
    (("hostname", "network"), _hostname_faults),
    (("partitions",), _partition_faults),
    (("network",), _network_faults),
)
