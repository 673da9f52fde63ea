"""Values and keys that are refused, each by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from photonbuild.installer.kickstart.keys import KICKSTART, SUPPORTED
from photonbuild.installer.kickstart.keys_packages import REPO
from photonbuild.installer.kickstart.kinds import Field, Kind, Refused, check, fields_of
from photonbuild.installer.kickstart.without_effect import REFUSED, WITHOUT_EFFECT
from tests.support.installer import ROOT_PARTITION, wrong


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_published_keys_are_refused_by_name_and_reason(name: str) -> None:
    assert wrong(**{name: "x"}) == f"key '{name}' is not supported: {REFUSED[name]}"


def test_no_key_is_both_supported_and_refused() -> None:
    names = [field.name for field in KICKSTART.fields]
    assert len(names) == len(set(names))
    assert len(REFUSED) + len(SUPPORTED) + len(WITHOUT_EFFECT) == len(names)


@pytest.mark.parametrize("name", ["ip_addr", "netmask", "gateway", "nameserver", "vlan_id"])
def test_keys_of_the_old_network_form_do_not_go_with_the_new(name: str) -> None:
    value = {"netmask": "255.255.255.0", "vlan_id": "7"}.get(name, "192.0.2.1")
    assert "version 2 with 'ethernets'" in wrong(network={"version": "2", name: value})


def test_the_inner_records_have_refused_keys_too() -> None:
    assert sum(isinstance(field.kind, Refused) for field in REPO.fields) == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"disk": "sda"},
            "key 'disk': a device such as /dev/sda or /dev/disk/by-id/…, SERIAL=… or WWN=… is expected, not 'sda'",
        ),
        ({"hostname": "a_b"}, "key 'hostname': a host name"),
        ({"hostname": "photon-$((RANDOM%4096))"}, "key 'hostname': a host name"),
        (
            {"bootmode": "uefi"},
            "key 'bootmode': one of dualboot, bios, efi is expected, not 'uefi', did you mean 'efi'",
        ),
        ({"eject_cdrom": "nay"}, "key 'eject_cdrom': true or false is expected, not 'nay'"),
        ({"packages": "vim"}, "key 'packages': a list is expected, not 'vim'"),
        ({"packages": ["a b"]}, "key 'packages.0': a package's name"),
        ({"public_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "key 'public_key': this is a private key"),
        ({"services": {"sshd": "on"}}, "key 'services.sshd': one of enabled, disabled, masked is expected"),
        ({"additional_files": [{"a": "etc/a"}]}, "key 'additional_files.0.a': an absolute path"),
        ({"additional_files": [{"a": "/../a"}]}, "key 'additional_files.0.a': an absolute path without '..'"),
        ({"repos": {"x": {"baseurl": "https://h/$base"}}}, "key 'repos.x.baseurl': of variables only"),
        ({"repos": {"x": {"baseurl": "https://h/", "gpgcheck": 2}}}, "key 'repos.x.gpgcheck': true or false"),
        ({"password": {"crypted": False, "text": "a" * 600}}, "key 'password.text': a password has no control"),
        ({"linux_flavor": "linux-aw"}, "one of linux, linux-esx, linux-aws, linux-secure, linux-rt is expected"),
        ({"search_path": ["files"]}, "key 'search_path.0': a folder: /… or an address is expected, not 'files'"),
        ({"password": {"crypted": True}}, "key 'password.text' is missing"),
        ({"network": {}}, "key 'network.version' is missing"),
        ({"partitions": []}, "key 'partitions': the list is empty"),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/usr", "size": 9}]},
            "'/usr' cannot be a file system of its own",
        ),
        ({"partitions": [ROOT_PARTITION, {"mountpoint": "/a/../b", "size": 9}]}, "'/a/../b' is not a plain path"),
        (
            {"partitions": [{**ROOT_PARTITION, "fs_options": ["noatime", "-m 0"]}]},
            "key 'partitions.0.fs_options.1': a mount option is expected, not '-m 0'",
        ),
        (
            {
                "partitions": [
                    ROOT_PARTITION,
                    {
                        "mountpoint": "/a",
                        "size": 900,
                        "filesystem": "btrfs",
                        "btrfs": {"subvols": [{"name": "b", "mountpoint": "/b", "fs_options": "-m 0"}]},
                    },
                ]
            },
            "key 'partitions.1.btrfs.subvols.0.fs_options': a mount option is expected, not '-m 0'",
        ),
        (
            {"partitions": [ROOT_PARTITION, {"filesystem": "swap", "size": -1}]},
            "an integer from 0 to 8796093022208 is expected",
        ),
        (
            {"partitions": [{**ROOT_PARTITION, "filesystem": "zfs"}]},
            "one of ext4, xfs, vfat, swap, btrfs is expected, not 'zfs'",
        ),
        (
            {"network": {"version": "2", "ethernets": {"lan": {"addresses": ["192.0.2.1"]}}}},
            "key 'network.ethernets.lan.addresses.0': the prefix length is missing",
        ),
        (
            {"network": {"version": "2", "ethernets": {"lan": {"gateway": "192.0.2.300"}}}},
            "an IPv4 or IPv6 address is expected",
        ),
    ],
)
def test_mistakes(data: dict[str, Any], message: str) -> None:
    assert message in wrong(**data)


def test_every_default_is_a_value_that_is_accepted() -> None:
    """Each wherever it is in the table; the parser fills it in, the reference shows it."""

    def fields(kind: Kind) -> Iterator[Field]:
        for field in fields_of(kind):
            yield field
            yield from fields(field.kind)

    defaults = [field for field in fields(KICKSTART) if field.default is not None]
    assert {field.name for field in defaults} >= {"partitions", "filesystem", "bootmode", "dhcp4", "enabled"}
    for field in defaults:
        assert list(check(field.default, field.kind, (field.name,))) == [], field.name
