"""The appliance against the rules of DSP0243, and those rules against appliances that break them. No tool is run."""

from __future__ import annotations

import json
import os
import re
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from photonbuild.config.models import Signing
from photonbuild.errors import ConfigError
from photonbuild.files import sha256_of
from photonbuild.images.archive import pack
from photonbuild.images.formats import ova
from photonbuild.images.sign import signer
from photonbuild.pipeline.configuration import load_config
from tests.support.image_requests import ROOT, image_request
from tests.support.ova_rules import package_problems
from tests.support.ovf_rules import descriptor_problems

GIB = 1 << 30
OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"


def streamed(file: Path) -> ova.Streamed:
    return ova.Streamed(file=file, capacity=8 * GIB, populated=300 << 20)


def descriptor(tmp_path: Path, *, disks: int = 1, **machine: str) -> str:
    disk = tmp_path / "phos-disk1.vmdk"
    disk.write_bytes(struct.pack("<4sIIQ", b"KDMV", 3, 0, 8 * GIB // 512).ljust(1024, b"\0"))
    image = load_config(ROOT).image("ova").model_dump(mode="json")
    image["machine"] |= machine
    changed = ova.OvaImage.model_validate_json(json.dumps(image))
    return ova.ovf(image_request(tmp_path, changed), [streamed(disk)] * disks)


def test_ovf_references_and_hardware(tmp_path: Path) -> None:
    disk = tmp_path / "phos-disk1.vmdk"
    disk.write_bytes(b"x" * 7)
    root = ElementTree.fromstring(ova.ovf(image_request(tmp_path, "ova"), [streamed(disk)]))
    (file,), (entry,) = root.iter(f"{OVF}File"), root.iter(f"{OVF}Disk")
    assert (file.get(f"{OVF}href"), file.get(f"{OVF}size")) == (disk.name, "7")
    assert entry.get(f"{OVF}fileRef") == file.get(f"{OVF}id")
    assert entry.get(f"{OVF}capacity") == str(8 * GIB)
    ids = [element.text for element in root.iter() if element.tag.endswith("}InstanceID")]
    assert len(ids) == len(set(ids)) >= 6
    for item in root.iter(f"{OVF}Item"):
        names = [child.tag for child in item]
        assert names == sorted(names), "the schema wants the elements of an item in this order"


@pytest.mark.parametrize("version", ["1.1", "2.0"])
@pytest.mark.parametrize("hardware", [{}, {"scsi": "lsilogic", "network": "E1000"}])
def test_the_descriptor_keeps_the_rules(tmp_path: Path, version: str, hardware: dict[str, Any]) -> None:
    text = descriptor(tmp_path, ovf=version, **hardware)
    assert descriptor_problems(text) == []
    assert text.startswith("<?xml") and f"/ovf/envelope/{version[0]}" in text
    assert all(word in text for word in hardware.values())


@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_further_disks_keep_the_rules_and_off_the_address_of_the_controller(tmp_path: Path, version: str) -> None:
    text = descriptor(tmp_path, disks=15, ovf=version)
    # The files are one and the same here: of a package each has its own name.
    assert {problem for problem in descriptor_problems(text) if "phos-disk1.vmdk" not in problem} == set()
    addresses = [int(number) for number in re.findall(r"AddressOnParent>(\d+)<", text)]
    assert addresses == [*range(7), *range(8, 16)]
    assert re.findall(r"ovf:/disk/(disk\d+)", text) == [f"disk{number}" for number in range(1, 16)]


def test_settings_for_the_guest(tmp_path: Path) -> None:
    text = descriptor(tmp_path)
    assert re.findall(r'ovf:key="([^"]*)"', text) == [
        "instance-id",
        "hostname",
        "public-keys",
        "user-data",
        "network-config",
    ]
    assert "ovf:class" not in text and "ovf:instance" not in text, "cloud-init knows bare keys only"
    assert 'ovf:transport="iso com.vmware.guestInfo"' in text


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("/envelope/2", "/envelope/3", "the root element"),
        ('ovf:size="1024"', 'ovf:size="1 KiB"', "its size is a number"),
        ('fileRef="disk1-file"', 'fileRef="other"', "is no File"),
        ('capacity="8589934592"', 'capacity="8 GiB"', "is no number"),
        ('ovf:format="http://www', 'ovf:format="www', "is a URI"),
        ("<Info>Virtual disks</Info>", "", "DiskSection does not begin with Info"),
        ('<OperatingSystemSection ovf:id="101">', '<OperatingSystemSection ovf:id="linux">', "is a number"),
        ('key="user-data"', 'key="hostname"', "'hostname' is there 2 times"),
        ('key="user-data"', 'key="user.data"', "a period"),
        ('type="string"', 'type="text"', "no type 'text'"),
        ('type="string" ovf:userConfigurable="true" ovf:value="phos"', 'type="uint8" ovf:value="256"', "is no uint8"),
        ('userConfigurable="true"', 'userConfigurable="yes"', "not a boolean"),
        ("<Product>", "<Version>1</Version><Product>", "not in their order"),
        ("<rasd:InstanceID>2<", "<rasd:InstanceID>1<", "InstanceID 1 is there twice"),
        ("<sasd:Parent>3<", "<sasd:Parent>9<", "its parent 9 is no item"),
        ("<sasd:Parent>3<", "<sasd:Parent>2<", "a disk hangs on a controller"),
        ("ovf:/disk/disk1", "ovf:/disk/disk2", "is nothing in this package"),
        ("<epasd:Connection>network<", "<epasd:Connection>lan<", "no network 'lan'"),
        ("<rasd:ResourceType>3</rasd:ResourceType>", "", "no ResourceType"),
        ("byte * 2^20", "MegaBytes", "no programmatic units"),
        ("<rasd:VirtualQuantity>2<", "<rasd:VirtualQuantity>two<", "is no number"),
        ("StorageItem>", "Item>", "in its class"),
        ("<rasd:Address>0</rasd:Address>", "<rasd:Adress>0</rasd:Adress>", "no element Adress"),
        ("<vssd:VirtualSystemType>vmx-14</vssd:VirtualSystemType>", "", "System has no VirtualSystemType"),
        ("<Name>", "<Name/><Name>", "begins with Info and then Name"),
        ("</Envelope>", "", "no XML"),
    ],
)
def test_broken_descriptors_are_found(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = descriptor(tmp_path, ovf="2.0")
    assert old in text
    found = descriptor_problems(text.replace(old, new))
    assert any(problem in line for line in found), found


def package(tmp_path: Path, **changes: bytes) -> Path:
    """An appliance of the real descriptor; `changes` replace a file's content after the manifest was written."""
    files = {"phos.ovf": tmp_path / "phos.ovf", "phos.mf": tmp_path / "phos.mf"}
    files["phos.ovf"].write_text(descriptor(tmp_path))
    files["phos-disk1.vmdk"] = tmp_path / "phos-disk1.vmdk"
    listing = "".join(f"SHA256({name})= {sha256_of(files[name])}\n" for name in ("phos.ovf", "phos-disk1.vmdk"))
    files["phos.mf"].write_text(listing)
    for name, content in changes.items():
        files[name.replace("_", ".")].write_bytes(content)
    pack(tmp_path / "phos.ova", files, 1767225600)
    return tmp_path / "phos.ova"


def test_the_package_keeps_the_rules(tmp_path: Path) -> None:
    assert package_problems(package(tmp_path)) == []


def test_broken_packages_are_found(tmp_path: Path) -> None:
    good = package(tmp_path)
    files = {name: tmp_path / name for name in ("phos.ovf", "phos.mf", "phos-disk1.vmdk")}

    def problems(*order: str, **content: bytes) -> str:
        kept = {name.replace("_", "."): files[name.replace("_", ".")].read_bytes() for name in content}
        for name, data in content.items():
            files[name.replace("_", ".")].write_bytes(data)
        pack(good, {name: files[name] for name in order or files}, 1767225600)
        for name, data in kept.items():
            files[name].write_bytes(data)
        return "\n".join(package_problems(good))

    assert "the descriptor is not the first" in problems("phos.mf", "phos.ovf", "phos-disk1.vmdk")
    assert problems("phos.ovf", "phos-disk1.vmdk", "phos.mf") == "", "the manifest may also be the last"
    assert "the references are" in problems("phos.ovf", "phos.mf")
    assert "lines of another form" in problems(phos_mf=b"SHA1(phos.ovf)= 00\n")
    assert "lists" in problems(phos_mf=b"")
    text = files["phos.ovf"].read_bytes()
    assert "not that of the manifest" in problems(phos_ovf=text.replace(b"A container host", b"A host"))
    assert "a disk of" in problems(phos_ovf=text.replace(b'capacity="8589934592"', b'capacity="512"'))
    assert "1024 bytes, not 7" in problems(phos_ovf=text.replace(b'ovf:size="1024"', b'ovf:size="7"'))
    good.write_bytes(b"no such thing")
    assert "no tar" in "\n".join(package_problems(good))


def test_keys_that_cannot_sign(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"

    def check() -> str:
        with pytest.raises(ConfigError) as caught:
            signer(Signing(key=str(key), certificate=str(certificate)), seed=tmp_path, scratch=tmp_path, work=tmp_path)
        return str(caught.value)

    assert "no such file" in check()
    key.write_text("secret")
    certificate.write_text("-----BEGIN PRIVATE KEY-----\n")
    os.chmod(key, 0o640)
    assert "others than its owner may read" in check()
    os.chmod(key, 0o600)
    assert "only the certificate belongs in here" in check()
    certificate.write_text("nothing")
    assert "no certificate in here" in check()
