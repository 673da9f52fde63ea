"""Texts of an image's settings with the line of each: rules of a firewall and files of systemd-networkd are checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from photonbuild.config.customisation import Content
from photonbuild.config.load import Config
from photonbuild.documents import Document, Problem, fail, nearest, node_at, read_text
from photonbuild.images.customise.entries import existing

TABLES = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
# Sections of systemd.network(5), systemd.netdev(5) and systemd.link(5).
SECTION_NAMES = {
    "network": """
        Match Link Network Address Neighbor IPv6AddressLabel RoutingPolicyRule NextHop Route DHCPv4 DHCPv6
        DHCPPrefixDelegation IPv6AcceptRA DHCPServer DHCPServerStaticLease IPv6SendRA IPv6Prefix IPv6RoutePrefix
        IPv6PREF64Prefix Bridge BridgeFDB BridgeMDB LLDP CAN IPoIB QDisc NetworkEmulator TokenBucketFilter PIE
        FlowQueuePIE StochasticFairBlue StochasticFairnessQueueing BFIFO PFIFO PFIFOHeadDrop PFIFOFast CAKE
        ControlledDelay DeficitRoundRobinScheduler DeficitRoundRobinSchedulerClass EnhancedTransmissionSelection
        GenericRandomEarlyDetection FairQueueingControlledDelay FairQueueing TrivialLinkEqualizer
        HierarchyTokenBucket HierarchyTokenBucketClass ClassfulMultiQueueing HeavyHitterFilter QuickFairQueueing
        QuickFairQueueingClass BridgeVLAN
        """,
    "netdev": """
        Match NetDev Bridge VLAN MACVLAN MACVTAP IPVLAN IPVTAP VXLAN GENEVE BareUDP L2TP L2TPSession MACsec
        MACsecReceiveChannel MACsecTransmitAssociation MACsecReceiveAssociation Tunnel FooOverUDP Peer VXCAN Tun Tap
        WireGuard WireGuardPeer Bond Xfrm VRF BatmanAdvanced IPoIB WLAN
        """,
    "link": "Match Link SR-IOV EnergyEfficientEthernet",
}
SECTIONS = {suffix: text.split() for suffix, text in SECTION_NAMES.items()}


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text, what messages call the file that it stands in, and the line there that it begins in."""

    text: str
    name: str
    line: int

    def problem(self, number: int, message: str) -> Problem:
        """`number`: of the line in the text, from 0 on."""
        return Problem(line=self.line + number, message=message)


def content_text(config: Config, document: Document, content: Content, *loc: int | str) -> Text:
    """The text of the value at `loc`. Raises ConfigError when a file cannot be read as text."""
    if content.source is not None:
        path = existing(config.roots, content.source, where=document.where(*loc, "source"))
        name = f"build/{content.source}"
        return Text(text=read_text(path, name), name=name, line=1)
    assert content.text is not None
    node = node_at(document, (*loc, "text"))
    block = getattr(node, "style", None) in ("|", ">")
    return Text(text=content.text, name=document.name, line=document.line((*loc, "text")) + block)


def check_rules(text: Text) -> None:
    """The form of iptables-save(8): tables, their chains, rules of these chains. What a rule says, is not looked at.

    Raises ConfigError with every mistake.
    """
    problems = [text.problem(number, message) for number, message in _rule_problems(text.text.splitlines())]
    if problems:
        raise fail(text.name, problems)


def _rule_problems(lines: list[str]) -> Iterator[tuple[int, str]]:
    table, chains = "", set[str]()
    for number, line in enumerate(map(str.strip, lines)):
        words = line.split()
        if not line or line.startswith("#"):
            continue
        if line.startswith("*"):
            if table:
                yield number, f"'COMMIT' is missing: table '{table}' is not finished"
            table = line[1:]
            if table not in TABLES:
                yield number, f"unknown table '{table}'{nearest(table, TABLES)}"
            chains = set(TABLES.get(table, ()))
        elif not table:
            yield number, f"'{words[0]}' stands outside of a table: one begins with *NAME, like *filter"
        elif line == "COMMIT":
            table = ""
        elif line.startswith(":"):
            if not re.fullmatch(r":\S{1,28} (ACCEPT|DROP|-)( \[\d+:\d+\])?", line):
                yield number, "a chain is expected, like ':INPUT DROP [0:0]' or ':MINE - [0:0]'"
            chains.add(words[0][1:])
        elif re.match(r"(\[\d+:\d+\] )?(-A|-I|--append|--insert) ", line):
            chain = words[2 if line.startswith("[") else 1] if len(words) > 1 else ""
            if chain not in chains:
                yield number, f"table '{table}' has no chain '{chain}'{nearest(chain, chains)}"
        else:
            yield number, f"'{words[0]}' is no rule: one begins with -A CHAIN"
    if table:
        yield max(len(lines) - 1, 0), f"'COMMIT' is missing: table '{table}' is not finished"


def check_sections(text: Text, suffix: str) -> None:
    """The form of a file of systemd-networkd: known sections, and settings in them. Raises ConfigError."""
    problems, section = [], ""
    for number, line in enumerate(map(str.strip, text.text.splitlines())):
        if not line or line[0] in "#;":
            continue
        if match := re.fullmatch(r"\[(.+)\]", line):
            section = match[1]
            known = SECTIONS[suffix]
            if section not in known and not section.startswith("X-"):
                problems.append(text.problem(number, f"unknown section [{section}]{nearest(section, known)}"))
        elif not section:
            problems.append(text.problem(number, "a section is expected, like [Match]"))
        elif not re.match(r"[A-Za-z0-9-]+\s*=", line):
            problems.append(text.problem(number, f"'{line}' is no setting: KEY=VALUE is expected"))
    if not section:
        problems.append(text.problem(0, "there is no section in it, like [Match]"))
    if problems:
        raise fail(text.name, problems)
