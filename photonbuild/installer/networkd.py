"""Files of systemd-networkd for the cards and VLANs of a kickstart. Pure functions; see systemd.network(5)."""

from __future__ import annotations

from collections.abc import Sequence

from photonbuild.installer.kickstart import Link

FOLDER = "/etc/systemd/network"


def files(links: Sequence[Link]) -> dict[str, str]:
    """Text by path."""
    found = {}
    for link in links:
        found[f"{FOLDER}/10-{link.key}.network"] = network(link, links)
        if link.vlan is not None:
            found[f"{FOLDER}/10-{link.key}.netdev"] = (
                f"[NetDev]\nName={link.key}\nKind=vlan\n\n[VLAN]\nId={link.vlan}\n"
            )
    return found


def network(link: Link, links: Sequence[Link]) -> str:
    lines = ["[Match]"]
    if link.vlan is not None:
        lines.append(f"Name={link.key}")
    else:
        # What the host makes itself, as veth and bridges, has a kind.
        lines += ["Type=ether", "Kind=!*"]
        lines += [f"Name={link.match_name}"] if link.match_name else []
        lines += [f"MACAddress={link.match_mac}"] if link.match_mac else []
    lines += ["", "[Network]", f"DHCP={dhcp(link)}"]
    if link.accept_ra is not None:
        lines.append(f"IPv6AcceptRA={'yes' if link.accept_ra else 'no'}")
    lines += [f"Address={address}" for address in link.addresses]
    lines += [f"Gateway={link.gateway}"] if link.gateway else []
    lines += [f"DNS={address}" for address in link.nameservers]
    lines += [f"Domains={' '.join(link.search)}"] if link.search else []
    lines += [f"VLAN={other.key}" for other in links if other.vlan is not None and other.parent == link.key]
    if link.dhcp4:
        # Leases and reservations go by the address of the card.
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac", "UseDomains=yes"]
    return "\n".join(lines) + "\n"


def dhcp(link: Link) -> str:
    return {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6"}.get((link.dhcp4, link.dhcp6), "no")
