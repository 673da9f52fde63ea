"""Kickstart files: what is read, what is refused, and how mistakes are told. Nothing is run."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from photonbuild.cli.main import main
from photonbuild.errors import ConfigError
from photonbuild.installer import export
from photonbuild.installer.fields import Refused
from photonbuild.installer.kickstart import Filesystem, Kickstart, Link, Volume, load, parse
from photonbuild.installer.schema import KICKSTART, NETWORK, PARTITION, REFUSED, REPO, SUPPORTED

ROOT = Path(__file__).parents[3]
SAMPLES = sorted((ROOT / "kickstarts").iterdir())
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me@here"


def kickstart(**data: Any) -> Kickstart:
    return parse(json.dumps({"disk": "/dev/sda", **data}), "ks.json")


def mistakes(text: str, name: str = "ks.yaml") -> list[str]:
    """Every reported mistake, with its line but without the file's name."""
    with pytest.raises(ConfigError) as caught:
        parse(textwrap.dedent(text), name)
    lines = (caught.value.detail or str(caught.value)).splitlines()
    return [line.removeprefix(f"{name}:") for line in lines]


def wrong(**data: Any) -> str:
    """The one mistake in otherwise good data."""
    with pytest.raises(ConfigError) as caught:
        kickstart(**data)
    assert caught.value.exit_code == 2
    assert caught.value.detail is None, caught.value.detail
    return caught.value.message


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples(path: Path) -> None:
    assert load(path).disk.startswith("/dev/")


def test_sample_with_lvm() -> None:
    root, var, swap = load(ROOT / "kickstarts/lvm.yaml").filesystems
    assert (root.mountpoint, root.size, root.volume) == ("/", 2048, None)
    assert (var.volume, var.mount_options) == (Volume(group="data", name="var"), "nodev,nosuid")
    assert (swap.filesystem, swap.percent, swap.size) == ("swap", 5, None)


def test_defaults_are_the_published_ones() -> None:
    found = kickstart()
    assert found.filesystems == (Filesystem(number=1, filesystem="ext4", mountpoint="/", size=0),)
    assert (found.bootmode, found.password, found.eject, found.log_level) == ("dualboot", None, True, "info")


def test_both_forms_of_the_same_things() -> None:
    crypted = "$6$salt$" + "a" * 86
    assert kickstart(shadow_password=crypted).password == crypted
    assert kickstart(password={"crypted": True, "text": crypted, "age": 30}).password_age == 30
    assert kickstart(public_key=KEY) == kickstart(public_key={"key": KEY, "reason": "x"})
    assert kickstart(packages=["a"], additional_packages=["b=1.0-1", "a"]).packages == ("a", "b=1.0-1")
    assert kickstart(network={"version": 2, "hostname": "h"}).hostname == "h"
    assert kickstart(additional_files=[{"a": "/a", "b": "/b/"}, {"c": "/c"}]).files == (
        ("a", "/a"), ("b", "/b/"), ("c", "/c"),
    )  # fmt: skip


def test_a_repository_that_is_not_enabled_is_not_read() -> None:
    on = {"name": "on", "baseurl": "https://h/on", "gpgcheck": 0, "enabled": 1}
    off = {"baseurl": "https://h/off", "enabled": 0, "gpgcheck": False}
    assert [repo.name for repo in kickstart(repos={"one": on, "two": off}).repositories] == ["one"]


def test_network() -> None:
    card = {"match": {"name": "e*"}, "dhcp4": True, "accept-ra": False, "addresses": ["2001:db8::1/64"]}
    assert kickstart(network={"version": "2", "ethernets": {"lan": card}}).links == (
        Link(key="lan", match_name="e*", dhcp4=True, accept_ra=False, addresses=("2001:db8::1/64",)),
    )
    assert kickstart(network={"version": "2", "ethernets": {"eth0": {}}}).links[0].match_name == "eth0"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_published_keys_are_refused_by_name_and_reason(name: str) -> None:
    assert wrong(**{name: "x"}) == f"key '{name}' is not supported: {REFUSED[name]}"


def test_no_key_is_both_supported_and_refused() -> None:
    names = [field.name for field in KICKSTART.fields]
    assert len(names) == len(set(names))
    assert len(REFUSED) + len(SUPPORTED) == len(names)


@pytest.mark.parametrize("name", ["disk", "disk_id", "all_disk", "ab", "btrfs"])
def test_refused_keys_of_a_partition(name: str) -> None:
    message = wrong(partitions=[{"mountpoint": "/", "size": 0, name: True}])
    assert message.startswith(f"key '{name}' is not supported: ")


@pytest.mark.parametrize("name", ["type", "ip_addr", "netmask", "gateway", "nameserver", "vlan_id"])
def test_the_old_network_form_is_refused(name: str) -> None:
    assert "version 2 with 'ethernets'" in wrong(network={"version": "2", name: "x"})


def test_the_inner_records_have_refused_keys_too() -> None:
    for record, count in ((PARTITION, 5), (NETWORK, 6), (REPO, 5)):
        assert sum(isinstance(field.kind, Refused) for field in record.fields) == count


@pytest.mark.parametrize(
    "data",
    [
        {"password": {"crypted": False, "text": "changeme"}},
        {"password": {"crypted": True, "text": "changeme"}},
        {"shadow_password": "changeme"},
    ],
)
def test_a_plain_password_is_refused_and_not_repeated(data: dict[str, Any]) -> None:
    message = wrong(**data)
    assert "openssl passwd -6" in message
    assert "changeme" not in message


ROOT_PARTITION = {"mountpoint": "/", "size": 0}
LVM = {"vg_name": "g", "lv_name": "v"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"disk": "sda"}, "key 'disk': a device such as /dev/sda is expected, not 'sda'"),
        ({"hostname": "a_b"}, "key 'hostname': a host name"),
        ({"hostname": "photon-$((RANDOM%4096))"}, "key 'hostname': a host name"),
        (
            {"bootmode": "uefi"},
            "key 'bootmode': one of dualboot, bios, efi is expected, not 'uefi', did you mean 'efi'",
        ),
        ({"eject_cdrom": "no"}, "key 'eject_cdrom': true or false is expected, not 'no'"),
        ({"packages": "vim"}, "key 'packages': a list is expected, not 'vim'"),
        ({"packages": ["a b"]}, "key 'packages.0': a package's name"),
        ({"public_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "key 'public_key': this is a private key"),
        ({"services": {"sshd": "on"}}, "key 'services.sshd': one of enabled, disabled, masked is expected"),
        ({"additional_files": [{"a": "etc/a"}]}, "key 'additional_files.0.a': an absolute path"),
        ({"additional_files": [{"a": "/../a"}]}, "key 'additional_files.0.a': an absolute path without '..'"),
        ({"repos": {"x": {"baseurl": "https://h/$basearch"}}}, "key 'repos.x.baseurl': variables such as"),
        ({"repos": {"x": {"baseurl": "https://h/", "gpgcheck": 1}}}, "key 'repos.x.gpgcheck': '1' is not supported"),
        ({"password": {"crypted": True}}, "key 'password.text' is missing"),
        ({"password": {"crypted": True, "text": "*"}, "shadow_password": "*"}, "give 'password' or 'shadow_password'"),
        ({"hostname": "a", "network": {"version": "2", "hostname": "b"}}, "'b' contradicts 'hostname', which is 'a'"),
        ({"network": {"version": "1"}}, "key 'network.version': '1' is not supported: it belongs to the old form"),
        ({"network": {}}, "key 'network.version' is missing"),
        ({"partitions": []}, "key 'partitions': the list is empty"),
        ({"partitions": [{"mountpoint": "/data", "size": 1}]}, "no partition is mounted at '/'"),
        ({"partitions": [{"mountpoint": "/"}]}, "partition 1: either 'size' or 'sizepercent' is needed"),
        ({"partitions": [ROOT_PARTITION, {"mountpoint": "/a", "size": 0}]}, "only one can take the rest of the disk"),
        ({"partitions": [ROOT_PARTITION, {"mountpoint": "/", "size": 9}]}, "'/' is already mounted above"),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/usr", "size": 9}]},
            "'/usr' cannot be a file system of its own",
        ),
        ({"partitions": [ROOT_PARTITION, {"mountpoint": "/a/../b", "size": 9}]}, "'/a/../b' is not a plain path"),
        ({"partitions": [ROOT_PARTITION, {"size": 9}]}, "partition 2: key 'mountpoint' is missing"),
        ({"partitions": [ROOT_PARTITION, {"filesystem": "swap", "size": -1}]}, "an integer at least 0 is expected"),
        (
            {"partitions": [{**ROOT_PARTITION, "filesystem": "zfs"}]},
            "one of ext4, xfs, vfat, swap is expected, not 'zfs'",
        ),
        ({"partitions": [{**ROOT_PARTITION, "filesystem": "btrfs"}]}, "'btrfs' is not supported"),
        ({"partitions": [{**ROOT_PARTITION, "filesystem": "vfat"}]}, "'/boot/efi' and only that is vfat"),
        ({"partitions": [ROOT_PARTITION, {"mountpoint": "/x", "filesystem": "xfs", "size": 299}]}, "at least 300 MiB"),
        (
            {"partitions": [ROOT_PARTITION, {"mountpoint": "/boot", "size": 99, "lvm": LVM}]},
            "cannot be a logical volume",
        ),
        ({"partitions": [{**ROOT_PARTITION, "fs_options": "-n"}]}, "write them as 'mkfs_options'"),
        ({"partitions": [{**ROOT_PARTITION, "mkfs_options": "-L 'a"}]}, "a quotation mark is not closed"),
        (
            {"partitions": [ROOT_PARTITION, *({"mountpoint": f"/{n}", "sizepercent": 60} for n in "ab")]},
            "the percentages add up to more than 100",
        ),
        (
            {"partitions": [{**ROOT_PARTITION, "lvm": LVM}, {"mountpoint": "/a", "size": 9, "lvm": LVM}]},
            "'v' is already in 'g'",
        ),
        (
            {"network": {"version": "2", "ethernets": {"lan": {"addresses": ["192.0.2.1"]}}}},
            "key 'network.ethernets.lan.addresses.0': the prefix length is missing",
        ),
        (
            {"network": {"version": "2", "ethernets": {"lan": {"gateway": "192.0.2.300"}}}},
            "an IPv4 or IPv6 address is expected",
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
def test_mistakes(data: dict[str, Any], message: str) -> None:
    assert message in wrong(**data)


def test_all_mistakes_at_once_with_their_lines() -> None:
    text = """\
        disc: /dev/sda
        hostname: -x
        partitions:
          - mountpoint: /
            sise: 0
            size: 10
          - mountpoint: /var
            ab: true
        ui: true
    """
    assert mistakes(text) == [
        "1: unknown key 'disc', did you mean 'disk'",
        "1: key 'disk' is missing",
        "2: key 'hostname': a host name (letters, digits, '-' and '.', at most 64) is expected, not '-x'",
        "5: unknown key 'partitions.0.sise', did you mean 'size'",
        "8: key 'ab' is not supported: there are no shadow partitions; systems are replaced as a whole",
        f"9: key 'ui' is not supported: {REFUSED['ui']}",
    ]


def test_lines_in_json_with_tabs() -> None:
    text = '{\n\t"disk": "/dev/sda",\n\t"partitions": [\n\t\t{"mountpoint": "/",\n\t\t "sise": 0}\n\t]\n}\n'
    assert mistakes(text, "ks.json")[0] == "5: unknown key 'partitions.0.sise', did you mean 'size'"


def test_malformed_files_are_told_with_line_and_column() -> None:
    with pytest.raises(ConfigError) as caught:
        parse('{\n  "disk": "/dev/sda",\n}\n', "ks.cfg")
    assert (caught.value.where, caught.value.message[:14]) == ("ks.cfg:3:1", "not valid JSON")
    assert mistakes("disk: [", "ks.yaml")[0].startswith(("1: not valid YAML", "2: not valid YAML"))
    assert mistakes('{"disk": "/dev/sda", "disk": "/dev/sdb"}', "ks.json") == ["1: key 'disk' is already set in line 1"]
    assert mistakes("- disk", "ks.yaml") == ["1: a mapping of keys to values is expected"]
    assert mistakes("", "ks.yaml") == ["1: key 'disk' is missing"]


def test_the_page_is_what_the_table_says() -> None:
    page = (ROOT / "docs/use/kickstart.md").read_text(encoding="utf-8")
    assert page == export.reference(), "bin/photonbuild kickstart reference --output docs/use/kickstart.md"


def test_the_json_schema_has_every_key() -> None:
    schema = export.jsonschema()
    assert set(schema["properties"]) == {field.name for field in KICKSTART.fields}
    assert schema["required"] == ["disk"]
    assert schema["properties"]["ui"]["not"] == {}
    json.dumps(schema)


def test_commands(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("disk: /dev/sda\n")
    bad.write_text("disk: /dev/sda\nhostnam: x\n")
    runner = CliRunner()
    done = runner.invoke(main, ["kickstart", "check", str(good), str(bad), str(tmp_path / "god.yaml")])
    assert done.exit_code == 2
    assert f"{good}: ok" in done.output
    for expected in (f"{bad}:2: unknown key 'hostnam', did you mean 'hostname'", "file not found, did you mean 'good"):
        assert expected in done.output.replace("\n", "")
    assert runner.invoke(main, ["kickstart", "check", str(good)]).exit_code == 0
    assert json.loads(runner.invoke(main, ["kickstart", "schema"]).output)["title"] == "kickstart"
    assert runner.invoke(main, ["kickstart", "reference"]).output == export.reference()
