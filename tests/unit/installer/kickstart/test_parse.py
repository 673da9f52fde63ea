"""From the text of a kickstart to its data, and where mistakes are."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.errors import ConfigError
from photonbuild.installer.kickstart.model import Interface, LogicalVolume, Partition
from photonbuild.installer.kickstart.parse import load, parse
from photonbuild.installer.kickstart.without_effect import REFUSED
from tests.support.installer import KEY, kickstart, mistakes

ROOT = Path(__file__).parents[4]
SAMPLES = sorted((ROOT / "kickstarts").iterdir())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples(path: Path) -> None:
    """No sample names a disk that is another one at the next start."""
    assert load(path).disk.startswith(("/dev/disk/by-", "SERIAL="))


def test_sample_with_lvm() -> None:
    root, var, swap = load(ROOT / "kickstarts/lvm.yaml").partitions
    assert (root.mountpoint, root.size, root.lvm) == ("/", 2048, None)
    assert (var.lvm, var.fs_options) == (LogicalVolume(vg_name="data", lv_name="var"), "nodev,nosuid")
    assert (swap.filesystem, swap.sizepercent, swap.size) == ("swap", 5, None)


def test_defaults_are_the_published_ones() -> None:
    found = kickstart()
    assert found.partitions == (Partition(number=1, filesystem="ext4", mountpoint="/", size=0),)
    assert (found.bootmode, found.password, found.eject_cdrom, found.log_level) == ("dualboot", None, True, "info")


def test_both_forms_of_the_same_things() -> None:
    crypted = "$6$salt$" + "a" * 86
    assert kickstart(shadow_password=crypted).password == crypted
    assert kickstart(password={"crypted": True, "text": crypted, "age": 30}).password_age == 30
    assert kickstart(public_key=KEY) == kickstart(public_key={"key": KEY, "reason": "x"})
    assert kickstart(packages=["a"], additional_packages=["b=1.0-1", "a"]).packages == ("a", "b=1.0-1")
    assert kickstart(network={"version": 2, "hostname": "h"}).hostname == "h"
    assert kickstart(additional_files=[{"a": "/a", "b": "/b/"}, {"c": "/c"}]).additional_files == (
        ("a", "/a"), ("b", "/b/"), ("c", "/c"),
    )  # fmt: skip


def test_a_repository_that_is_not_enabled_is_not_read() -> None:
    on = {"name": "on", "baseurl": "https://h/on", "gpgcheck": 0, "enabled": 1}
    off = {"baseurl": "https://h/off", "enabled": 0, "gpgcheck": False}
    assert [repo.name for repo in kickstart(repos={"one": on, "two": off}).repos] == ["one"]


def test_network() -> None:
    card = {"match": {"name": "e*"}, "dhcp4": True, "accept-ra": False, "addresses": ["2001:db8::1/64"]}
    assert kickstart(network={"version": "2", "ethernets": {"lan": card}}).interfaces == (
        Interface(key="lan", match_name="e*", dhcp4=True, accept_ra=False, addresses=("2001:db8::1/64",)),
    )
    assert kickstart(network={"version": "2", "ethernets": {"eth0": {}}}).interfaces[0].match_name == "eth0"


def test_all_mistakes_at_once_with_their_lines() -> None:
    text = """\
        disc: /dev/sda
        hostname: -x
        partitions:
          - mountpoint: /
            sise: 0
            size: 10
          - mountpoint: /var
            ab: perhaps
        firstboot: true
    """
    assert mistakes(text) == [
        "1: unknown key 'disc', did you mean 'disk'",
        "1: key 'disk' is missing",
        "2: key 'hostname': a host name (letters, digits, '-' and '.', at most 64) is expected, not '-x'",
        "5: unknown key 'partitions.0.sise', did you mean 'size'",
        "8: key 'partitions.1.ab': true or false is expected, not 'perhaps'",
        f"9: key 'firstboot' is not supported: {REFUSED['firstboot']}",
    ]


def test_lines_in_json_with_tabs() -> None:
    text = '{\n\t"disk": "/dev/sda",\n\t"partitions": [\n\t\t{"mountpoint": "/",\n\t\t "sise": 0}\n\t]\n}\n'
    assert mistakes(text, "ks.json")[0] == "5: unknown key 'partitions.0.sise', did you mean 'size'"


def test_malformed_files_are_told_with_line_and_column() -> None:
    with pytest.raises(ConfigError) as caught:
        parse('{\n  "disk": "/dev/sda"\n "hostname": "h"}\n', "ks.cfg")
    assert (caught.value.where, caught.value.message[:14]) == ("ks.cfg:3:2", "not valid JSON")
    assert mistakes('{\n  "disk": "/dev/sda",\n}\n', "ks.json")[0].startswith("3:1: not valid JSON")
    assert parse('{\n  "disk": "/dev/sda", live: False,\n}\n', "ks.cfg").disk == "/dev/sda", "as published ones are"
    assert mistakes("disk: [", "ks.yaml")[0].startswith(("1: not valid YAML", "2: not valid YAML"))
    assert mistakes('{"disk": "/dev/sda", "disk": "/dev/sdb"}', "ks.json") == ["1: key 'disk' is already set in line 1"]
    assert mistakes("- disk", "ks.yaml") == ["1: a mapping of keys to values is expected"]
    assert mistakes("", "ks.yaml") == ["1: key 'disk' is missing"]
