"""Files of systemd-networkd for the cards and VLANs of a kickstart. Pure functions; see systemd.network(5)."""

from __future__ import annotations

from collections.abc import Sequence

from photonbuild.installer.kickstart.model import Interface

FOLDER = "/etc/systemd/network"


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
    return "\n".join(lines) + "\n"


def dhcp(interface: Interface) -> str:
    names = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6"}
    return names.get((interface.dhcp4, interface.dhcp6), "no")
