"""Mistakes in how the keys of a kickstart go together. The data has the defaults of all keys in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from photonbuild.installer.kickstart.diskchecks import disk_faults, partition_faults
from photonbuild.installer.kickstart.keys_network import DHCP, STATIC, VLAN_TYPE
from photonbuild.installer.kickstart.kinds import Fault
from photonbuild.installer.kickstart.values import HASH
from photonbuild.installer.kickstart.variables import name_of


def _password_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    password = data.get("password")
    if password is None:
        return
    if "shadow_password" in data:
        yield Fault(loc=("shadow_password",), message="give 'password' or 'shadow_password', not both", key=True)
    none = not password["text"]
    if password["crypted"]:
        if not re.fullmatch(HASH.pattern, password["text"]):
            message = "key 'password.text': this is no crypted password ('openssl passwd -6' makes one), nor '*'"
            yield Fault(loc=("password", "text"), message=message)
        none = password["text"].startswith(("*", "!"))
    if none and password.get("age", -1) >= 0:
        message = "without a password there is none to renew: who comes with a key would be locked out; leave 'age' out"
        yield Fault(loc=("password", "age"), message=message)


def _hostname_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    network, name = data.get("network", {}), data.get("hostname")
    inner = "" if "type" in network else network.get("hostname")
    if inner and name and name != inner and not name_of(name):
        message = f"'{inner}' contradicts 'hostname', which is '{name}'"
        yield Fault(loc=("network", "hostname"), message=message)


def _image_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    for number, image in enumerate(data.get("docker", {}).get("images", ())):
        key = {"pull": "name", "load": "filename"}[image["method"]]
        if key not in image:
            message = f"container image {number + 1}: to {image['method']} one, '{key}' is needed"
            yield Fault(loc=("docker", "images", number), message=message)


OLDER_KEYS = {
    STATIC: ("ip_addr", "netmask", "gateway", "nameserver"),
    DHCP: (),
    VLAN_TYPE: ("vlan_id",),
}


def _network_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    network = data.get("network", {})
    older = "type" in network
    if "network" in data and not older and "version" not in network:
        yield Fault(loc=("network",), message="key 'network.version' is missing")
    if not older and str(network.get("version", "2")) == "1":
        yield Fault(loc=("network",), message="key 'network.type' is missing")
    wanted = OLDER_KEYS.get(network.get("type", ""), ())
    for key in wanted:
        if key not in network and not (key == "netmask" and "/" in network.get("ip_addr", "")):
            yield Fault(loc=("network",), message=f"key 'network.{key}' is missing, which {network['type']} needs")
    for key in dict.fromkeys(key for keys in OLDER_KEYS.values() for key in keys):
        if key in network and key not in wanted:
            form = f"the type {network['type']}" if older else "version 2 with 'ethernets'"
            yield Fault(loc=("network", key), message=f"key 'network.{key}' does not belong to {form}", key=True)
    for key in ("ethernets", "vlans", "bonds", "nameservers"):
        if older and key in network:
            message = f"key 'network.{key}' does not belong to the older form, which 'type' says this is"
            yield Fault(loc=("network", key), message=message, key=True)
    yield from _link_faults(network)
    yield from _bond_faults(network)


def _bond_faults(network: Mapping[str, Any]) -> Iterator[Fault]:
    cards, taken = network.get("ethernets", {}), dict[str, str]()
    for key, bond in network.get("bonds", {}).items():
        loc = ("network", "bonds", key)
        for name in (*cards, *network.get("vlans", {})):
            if name == key:
                yield Fault(loc=loc, message=f"'{key}' is the key of a card or VLAN already", key=True)
        for number, name in enumerate(bond["interfaces"]):
            place = (*loc, "interfaces", number)
            card = cards.get(name)
            if card is None:
                known = ", ".join(cards) or "none"
                yield Fault(loc=place, message=f"there is no card '{name}' under 'ethernets' (there are: {known})")
                continue
            if name in taken:
                yield Fault(loc=place, message=f"'{name}' is in '{taken[name]}' already")
            taken[name] = key
            if any(card.get(each) for each in ("dhcp4", "dhcp6", "addresses", "gateway")):
                yield Fault(loc=place, message=f"'{name}' has addresses of its own, and cannot be part of a bond")
        primary = bond.get("parameters", {}).get("primary")
        if primary is not None and primary not in bond["interfaces"]:
            yield Fault(loc=(*loc, "parameters", "primary"), message=f"'{primary}' is not one of its 'interfaces'")


def _link_faults(network: Mapping[str, Any]) -> Iterator[Fault]:
    cards, vlans = network.get("ethernets", {}), network.get("vlans", {})
    below = {**cards, **network.get("bonds", {})}
    bond_of = {name: key for key, bond in network.get("bonds", {}).items() for name in bond["interfaces"]}
    for key, card in cards.items():
        if "match" in card and not card["match"]:
            yield Fault(loc=("network", "ethernets", key, "match"), message="give a 'name' or a 'macaddress' to match")
        if key in vlans:
            yield Fault(loc=("network", "vlans", key), message=f"'{key}' is the key of a card already", key=True)
    for key, vlan in vlans.items():
        loc = ("network", "vlans", key, "link")
        card = below.get(vlan["link"])
        if card is None:
            known = ", ".join(below) or "none"
            yield Fault(loc=loc, message=f"there is no card '{vlan['link']}' under 'ethernets' (there are: {known})")
        elif vlan["link"] in bond_of:
            message = f"'{vlan['link']}' is in '{bond_of[vlan['link']]}', and is all its: link the VLAN to that"
            yield Fault(loc=loc, message=message)
        elif re.search(r"[*?\[]", card.get("match", {}).get("name", "")):
            yield Fault(loc=loc, message=f"'{vlan['link']}' may be more than one card: give its name without wildcards")


CrossCheck = Callable[[Mapping[str, Any]], Iterator[Fault]]
# Each with the keys that it reads.
CROSS_CHECKS: tuple[tuple[tuple[str, ...], CrossCheck], ...] = (
    (("password", "shadow_password"), _password_faults),
    (("hostname", "network"), _hostname_faults),
    (("disk", "disks"), disk_faults),
    (("disk", "disks", "partitions", "bootmode"), partition_faults),
    (("network",), _network_faults),
    (("docker",), _image_faults),
)
