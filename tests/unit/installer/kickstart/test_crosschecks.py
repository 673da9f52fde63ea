"""Keys that do not go together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from photonbuild.installer.kickstart.parse import parse
from tests.support.installer import HASH, LVM, ROOT_PARTITION, kickstart, wrong


@pytest.mark.parametrize(
    "data",
    [
        {"password": {"crypted": True, "text": "changeme"}},
        {"shadow_password": "changeme"},
    ],
)
def test_what_is_no_crypted_password_is_refused_and_not_repeated(data: dict[str, Any]) -> None:
    message = wrong(**data)
    assert "openssl passwd -6" in message
    assert "changeme" not in message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"password": {"crypted": True, "text": "*"}, "shadow_password": "*"}, "give 'password' or 'shadow_password'"),
        ({"hostname": "a", "network": {"version": "2", "hostname": "b"}}, "'b' contradicts 'hostname', which is 'a'"),
        ({"partitions": [{"mountpoint": "/data", "size": 1}]}, "no partition is mounted at '/'"),
        ({"partitions": [{"mountpoint": "/"}]}, "partition 1: either 'size' or 'sizepercent' is needed"),
        ({"partitions": [ROOT_PARTITION, {"mountpoint": "/a", "size": 0}]}, "only one can take the rest of the disk"),
        ({"partitions": [ROOT_PARTITION, {"mountpoint": "/", "size": 9}]}, "'/' is already mounted above"),
        ({"partitions": [ROOT_PARTITION, {"size": 9}]}, "partition 2: key 'mountpoint' is missing"),
        ({"partitions": [{**ROOT_PARTITION, "filesystem": "vfat"}]}, "'/boot/efi' and only that is vfat"),
        ({"partitions": [ROOT_PARTITION, {"mountpoint": "/x", "filesystem": "xfs", "size": 299}]}, "at least 300 MiB"),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/boot", "size": 99, "lvm": LVM}]},
            "cannot be a logical volume",
        ),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/a", "size": 9, "lvm": {**LVM, "lv_name": "a_tdata"}}]},
            "partition 2: 'a_tdata': LVM has names like this for parts of volumes",
        ),
        ({"disks": {"data": {"device": "/dev/sdb"}}, "disk": "/dev/sda"}, "give 'disk' or 'disks', not both"),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/a", "size": 9, "disk_id": "dats"}]},
            "partition 2: there is no disk 'dats'",
        ),
        (
            {"partitions": [{**ROOT_PARTITION, "all_disk": True}]},
            "the disk 'default' has a partition table: the machine starts from it",
        ),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/a", "size": 9, "ab": True, "lvm": LVM}]},
            "there is no second one of a logical volume",
        ),
        ({"docker": {"images": [{"method": "pull"}]}}, "container image 1: to pull one, 'name' is needed"),
        (
            {"network": {"type": "static", "ip_addr": "192.0.2.1/24", "gateway": "192.0.2.9"}},
            "key 'network.nameserver' is missing, which static needs",
        ),
        ({"network": {"type": "dhcp", "ethernets": {}}}, "does not belong to the older form"),
        ({"network": {"version": "1"}}, "key 'network.type' is missing"),
        ({"partitions": [{**ROOT_PARTITION, "mkfs_options": "-L 'a"}]}, "a quotation mark is not closed"),
        (
            {"partitions": [ROOT_PARTITION, *({"mountpoint": f"/{n}", "sizepercent": 60} for n in "ab")]},
            "the percentages add up to more than 100",
        ),
        (
            {"partitions": [{"mountpoint": "/", "sizepercent": 100}, {"filesystem": "swap", "size": 512}]},
            "the percentages add up to 100, and leave nothing for partition 2",
        ),
        *(
            ({"password": {"crypted": True, "text": text, "age": age}}, "would be locked out; leave 'age' out")
            for text, age in (("*", 0), ("!*", 30), (f"!{HASH}", 1))
        ),
        (
            {"partitions": [{**ROOT_PARTITION, "lvm": LVM}, {"mountpoint": "/a", "size": 9, "lvm": LVM}]},
            "'v' is already in 'g'",
        ),
        (
            {"partitions": [{**ROOT_PARTITION, "luks": {}}]},
            "'/' is encrypted, and GRUB asks for no passphrase: add a partition with 'mountpoint: /boot'",
        ),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/boot", "size": 99, "luks": {}}]},
            "'/boot' cannot be encrypted",
        ),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/a", "size": 9, "ab": True, "luks": {}}]},
            "there is no second one of a logical volume, an encrypted partition",
        ),
        *(
            (
                {"partitions": [ROOT_PARTITION, {"mountpoint": "/a", "size": 99, "luks": {"passphrase": text}}]},
                "1 to 512",
            )
            for text in ("", " x", "x" * 513, "a\nb")
        ),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/a", "size": 99, "luks": {"passphrases": "x"}}]},
            "did you mean 'passphrase'",
        ),
        (
            {"network": {"version": "2", "vlans": {"v": {"id": 7, "link": "lan"}}}},
            "there is no card 'lan' under 'ethernets' (there are: none)",
        ),
        (
            {
                "network": {
                    "version": "2",
                    "ethernets": {"lan": {"match": {"name": "e*"}}},
                    "vlans": {"v": {"id": 7, "link": "lan"}},
                }
            },
            "give its name without wildcards",
        ),
    ],
)
def test_keys_that_do_not_go_together(data: dict[str, Any], message: str) -> None:
    assert message in wrong(**data)


@pytest.mark.parametrize(
    ("card", "bond", "message"),
    [
        ({}, {"interfaces": ["two"]}, "there is no card 'two' under 'ethernets' (there are: one)"),
        ({}, {"interfaces": ["one", "one"]}, "'one' is in 'bond0' already"),
        ({"dhcp4": True}, {"interfaces": ["one"]}, "'one' has addresses of its own"),
        ({}, {"interfaces": ["one"], "parameters": {"primary": "x"}}, "'x' is not one of its 'interfaces'"),
        ({}, {"interfaces": ["one"], "parameters": {"mode": "best"}}, "mode"),
        ({}, {"interfaces": []}, "interfaces"),
    ],
)
def test_bonds(card: dict[str, Any], bond: dict[str, Any], message: str) -> None:
    assert message in wrong(network={"version": 2, "ethernets": {"one": card}, "bonds": {"bond0": bond}})


def test_a_vlan_on_a_card_of_a_bond() -> None:
    """Such a card is the bond's: nothing would make the VLAN."""
    network = {"version": 2, "ethernets": {"one": {}}, "bonds": {"bond0": {"interfaces": ["one"]}}}
    message = wrong(network={**network, "vlans": {"v": {"id": 7, "link": "one"}}})
    assert "'one' is in 'bond0', and is all its: link the VLAN to that" in message
    assert kickstart(network={**network, "vlans": {"v": {"id": 7, "link": "bond0"}}}).interfaces


def test_ages_and_percentages_that_are_fine() -> None:
    assert kickstart(password={"crypted": True, "text": "*", "age": -1}).password is None
    assert kickstart(password={"crypted": True, "text": HASH, "age": 0}).password_age == 0
    efi = {"mountpoint": "/boot/efi", "filesystem": "vfat", "size": 64}
    assert len(kickstart(partitions=[{"mountpoint": "/", "sizepercent": 100}, efi]).partitions) == 2


def test_a_disk_that_a_partition_names_by_its_device_is_written_to() -> None:
    partitions = [ROOT_PARTITION, {"mountpoint": "/a", "size": 0, "disk": "/dev/sdb"}]
    disks = {"default": {"device": "/dev/sda"}, "data": {"device": "/dev/sdb"}, "spare": {"device": "/dev/sdc"}}
    found = parse(json.dumps({"disks": disks, "partitions": partitions}), "ks.json")
    assert [each.id for each in found.used_disks] == ["default", "data"]
    (note,) = found.notes
    assert note.endswith("no partition is on the disk 'spare': nothing is written to it")
