"""Files of systemd-networkd."""

from __future__ import annotations

from photonbuild.installer.plan import networkd
from tests.support.installer import kickstart


def test_cards_and_vlans() -> None:
    network = {
        "version": "2",
        "ethernets": {"lan": {"match": {"macaddress": "52:54:00:00:00:01"}, "addresses": ["192.0.2.1/24"],
                              "gateway": "192.0.2.254", "nameservers": {"addresses": ["192.0.2.53"]}}},
        "vlans": {"v7": {"id": 7, "link": "lan", "dhcp4": True}},
    }  # fmt: skip
    files = networkd.files(kickstart(network=network).interfaces)
    lan = files["/etc/systemd/network/10-lan.network"]
    for line in ("MACAddress=52:54:00:00:00:01", "DHCP=no", "Address=192.0.2.1/24", "Gateway=192.0.2.254",
                 "DNS=192.0.2.53", "VLAN=v7"):  # fmt: skip
        assert f"\n{line}\n" in lan
    assert files["/etc/systemd/network/10-v7.netdev"] == "[NetDev]\nName=v7\nKind=vlan\n\n[VLAN]\nId=7\n"
    assert "\n[Network]\nDHCP=ipv4\n" in files["/etc/systemd/network/10-v7.network"]
