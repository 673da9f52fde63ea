"""Keys of the network in a kickstart: the form with `ethernets`, and the older one with `type`."""

from __future__ import annotations

from photonbuild.installer.kickstart.kinds import Choice, Field, Flag, Items, Names, Number, Record, Text
from photonbuild.installer.kickstart.values import (
    ADDRESS,
    HOST,
    INTERFACE,
    INTERFACE_ADDRESS,
    INTERFACE_GLOB,
    MACADDRESS,
    NAME,
    NETMASK,
    OLD_ADDRESS,
)

STATIC, DHCP, VLAN_TYPE = "static", "dhcp", "vlan"
OLDER = " In the older form."
VLAN_NUMBER = Number(minimum=1, maximum=4094, digits=True)
NAMESERVERS = Record(
    fields=(
        Field(name="addresses", kind=Items(of=ADDRESS), doc="Addresses of name servers."),
        Field(name="search", kind=Items(of=HOST), doc="Domains that short names are looked up in."),
    )
)
COMMON_LINK = (
    Field(name="dhcp4", kind=Flag(), doc="Ask for an IPv4 address.", default=False),
    Field(name="dhcp6", kind=Flag(), doc="Ask for an IPv6 address.", default=False),
    Field(name="accept-ra", kind=Flag(), doc="Heed IPv6 router advertisements.", default_doc="as networkd decides"),
    Field(
        name="addresses",
        kind=Items(of=INTERFACE_ADDRESS),
        doc="Fixed addresses with prefix length, IPv4 or IPv6.",
    ),
    Field(name="gateway", kind=ADDRESS, doc="The default gateway."),
    Field(name="nameservers", kind=NAMESERVERS, doc="Name servers and search domains."),
)
ETHERNET = Record(
    fields=(
        Field(
            name="match",
            kind=Record(
                fields=(
                    Field(
                        name="name",
                        kind=INTERFACE_GLOB,
                        doc="Its name; `*` is a wildcard. `eth0`, `eth1` … are the machine's first card, its second …, "
                        "where none is called so.",
                    ),
                    Field(
                        name="macaddress",
                        kind=MACADDRESS,
                        doc="Its MAC address.",
                    ),
                )
            ),
            doc="Which card is meant.",
            default_doc="the card called like the key",
        ),
        *COMMON_LINK,
    )
)
VLAN = Record(
    fields=(
        Field(name="id", kind=VLAN_NUMBER, doc="Number of the VLAN.", required=True),
        Field(name="link", kind=Text(), doc="Key of the card below it, from `ethernets`.", required=True),
        *COMMON_LINK,
    )
)
NETWORK = Record(
    fields=(
        Field(
            name="version",
            kind=Choice(values=("2", 2, "1", 1)),
            doc="The form of what follows. 1 is the older one, as is anything with `type`.",
            default_doc="2",
        ),
        Field(name="hostname", kind=HOST, doc="The same as `hostname` at the top."),
        Field(
            name="ethernets",
            kind=Names(key=NAME, of=ETHERNET, label="cards"),
            doc="Cards, each under a key of your choice. Each gets a file for systemd-networkd.",
        ),
        Field(
            name="vlans",
            kind=Names(key=INTERFACE, of=VLAN, label="VLANs"),
            doc="VLAN interfaces; the key is the interface's name.",
        ),
        Field(
            name="nameservers",
            kind=NAMESERVERS,
            doc="Name servers and search domains of the machine, whatever its cards say.",
        ),
        Field(
            name="type",
            kind=Choice(values=(DHCP, STATIC, VLAN_TYPE)),
            doc="`dhcp`: every card asks for its address. `static`: the first card has a fixed one. `vlan`: as `dhcp`, "
            "and a VLAN on the first card asks too." + OLDER,
        ),
        Field(name="ip_addr", kind=OLD_ADDRESS, doc="The address of `static`." + OLDER),
        Field(name="netmask", kind=NETMASK, doc="Its netmask." + OLDER),
        Field(name="gateway", kind=ADDRESS, doc="Its default gateway." + OLDER),
        Field(name="nameserver", kind=ADDRESS, doc="Its name server." + OLDER),
        Field(name="vlan_id", kind=VLAN_NUMBER, doc="The number of `vlan`." + OLDER),
    )
)
