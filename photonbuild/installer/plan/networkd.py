"""Files of systemd-networkd for the cards and VLANs of a kickstart. Pure functions; see systemd.network(5)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import replace

from photonbuild.installer.kickstart.model import Interface
from photonbuild.installer.machine.kernel import Card

FOLDER = "/etc/systemd/network"
RESOLVER = "/etc/systemd/resolved.conf.d/10-kickstart.conf"


def matches(interface: Interface, card: Card) -> bool:
    """As systemd.network(5) matches."""
    if interface.match_macaddress and interface.match_macaddress.lower() != card.address.lower():
        return False
    return not interface.match_name or fnmatch.fnmatchcase(card.name, interface.match_name)


def of_machine(interfaces: Sequence[Interface], cards: Sequence[Card]) -> tuple[tuple[Interface, ...], list[str]]:
    """The interfaces, with the address of a card for the kernel's name of it; and what is to be said of each.

    Published kickstarts are for a system that keeps the names eth0, eth1 …; here names tell where a card is.
    """
    found: list[Interface] = []
    notes: list[str] = []
    there = sorted(cards, key=lambda card: card.index)
    for interface in interfaces:
        number = re.fullmatch(r"eth([0-9]{1,3})", interface.match_name)
        if number and not any(matches(interface, card) for card in cards) and int(number[1]) < len(there):
            card = there[int(number[1])]
            notes.append(f"{interface.match_name} of the kickstart is {card.name} ({card.address}) of this machine")
            interface = replace(interface, match_name="", match_macaddress=card.address)
        found.append(interface)
    return tuple(found), notes


def resolver(nameservers: Sequence[str], search: Sequence[str]) -> dict[str, str]:
    """Text by path for the name servers of the whole machine; see resolved.conf(5)."""
    lines = [f"DNS={' '.join(nameservers)}"] if nameservers else []
    lines += [f"Domains={' '.join(search)}"] if search else []
    return {RESOLVER: "\n".join(["[Resolve]", *lines]) + "\n"} if lines else {}


def files(interfaces: Sequence[Interface]) -> dict[str, str]:
    """Text by path."""
    found = {}
    for interface in interfaces:
        found[f"{FOLDER}/10-{interface.key}.network"] = network(interface, interfaces)
        if interface.vlan_id is not None:
            found[f"{FOLDER}/10-{interface.key}.netdev"] = (
                f"[NetDev]\nName={interface.key}\nKind=vlan\n\n[VLAN]\nId={interface.vlan_id}\n"
            )
    return found


def network(interface: Interface, interfaces: Sequence[Interface]) -> str:
    lines = ["[Match]"]
    if interface.vlan_id is not None:
        lines.append(f"Name={interface.key}")
    else:
        # What the host makes itself, as veth and bridges, has a kind.
        lines += ["Type=ether", "Kind=!*"]
        lines += [f"Name={interface.match_name}"] if interface.match_name else []
        lines += [f"MACAddress={interface.match_macaddress}"] if interface.match_macaddress else []
    lines += ["", "[Network]", f"DHCP={dhcp(interface)}"]
    if interface.accept_ra is not None:
        lines.append(f"IPv6AcceptRA={'yes' if interface.accept_ra else 'no'}")
    lines += [f"Address={address}" for address in interface.addresses]
    lines += [f"Gateway={interface.gateway}"] if interface.gateway else []
    lines += [f"DNS={address}" for address in interface.nameservers]
    lines += [f"Domains={' '.join(interface.search)}"] if interface.search else []
    lines += [f"VLAN={other.key}" for other in interfaces if other.vlan_id is not None and other.link == interface.key]
    if interface.dhcp4:
        # Leases and reservations go by the address of the card.
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac", "UseDomains=yes"]
        lines += [f"Hostname={interface.dhcp_hostname}"] if interface.dhcp_hostname else []
    return "\n".join(lines) + "\n"


def dhcp(interface: Interface) -> str:
    names = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6"}
    return names.get((interface.dhcp4, interface.dhcp6), "no")
