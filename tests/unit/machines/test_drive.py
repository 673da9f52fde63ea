"""How a published image is plugged in: by its name, its platform and the firmware; disks in archives."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from photonbuild.errors import VerifyError
from photonbuild.machines.clouds import platform_bus
from photonbuild.machines.drive import boot_drive


@pytest.mark.parametrize(
    ("name", "as_disk", "kind", "bus"),
    [("a.iso", False, "raw", "cd"), ("a.iso", True, "raw", "usb-xhci"), ("a.vhd", False, "vpc", "sata"),
     ("a.qcow2", False, "qcow2", "virtio"), ("a.raw", False, "raw", "virtio")],
)  # fmt: skip
def test_the_name_tells_format_and_bus(tmp_path: Path, name: str, as_disk: bool, kind: str, bus: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with boot_drive(tmp_path / name, as_disk=as_disk) as drive:
        assert (drive.format, drive.bus) == (kind, bus)


@pytest.mark.parametrize(
    ("platform", "firmware", "name", "bus"),
    [("ec2", "bios", "a.raw", "nvme"), ("gce", "uefi", "a.raw", "scsi"), ("ovf", "bios", "a.vmdk", "pvscsi"),
     ("ovf", "uefi", "a.vmdk", "sata"), (None, "uefi", "a.raw", "virtio")],
)  # fmt: skip
def test_the_platform_and_the_firmware_tell_the_bus(
    tmp_path: Path, platform: str | None, firmware: str, name: str, bus: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    with boot_drive(tmp_path / name, bus=platform_bus(platform), firmware=firmware) as drive:
        assert drive.bus == bus


@pytest.mark.parametrize(("name", "inside", "kind"), [("a.ova", "d.vmdk", "vmdk"), ("a.tar.gz", "disk.raw", "raw")])
def test_the_disk_is_extracted_from_an_archive(tmp_path: Path, name: str, inside: str, kind: str) -> None:
    (tmp_path / inside).write_bytes(b"disk")
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        archive.add(tmp_path / inside, inside)
    with boot_drive(tmp_path / name) as drive:
        assert drive.format == kind and drive.file.read_bytes() == b"disk"
    assert not drive.file.exists()


def test_further_disks_are_those_of_the_manifest_in_its_order(tmp_path: Path) -> None:
    for name in ("a.qcow2", "a.one.qcow2", "a.two.qcow2"):
        (tmp_path / name).write_bytes(name.encode())
    manifest = tmp_path / "a.qcow2.manifest.json"
    manifest.write_text(json.dumps({"disks": [{"file": "a.two.qcow2"}, {"file": "a.one.qcow2"}]}))
    with boot_drive(tmp_path / "a.qcow2", bus="scsi") as drive:
        assert [each.file.name for each in drive.further] == ["a.two.qcow2", "a.one.qcow2"]
        assert {(each.format, each.bus) for each in drive.further} == {("qcow2", "scsi")}
    (tmp_path / "a.one.qcow2").unlink()
    with pytest.raises(VerifyError, match="a disk of the image is not there"), boot_drive(tmp_path / "a.qcow2"):
        pass
    manifest.write_text(json.dumps({"disks": [{"file": "../../etc/passwd"}]}))
    with pytest.raises(VerifyError) as caught, boot_drive(tmp_path / "a.qcow2"):
        pass
    assert caught.value.where == str(tmp_path / "passwd"), "a file beside the image, whatever the manifest says"


def test_an_appliance_has_its_further_disks_in_it(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.ova", "w") as archive:
        for name in ("a.ovf", "a-disk1.vmdk", "a-disk2.vmdk"):
            (tmp_path / name).write_bytes(name.encode())
            archive.add(tmp_path / name, name)
    with boot_drive(tmp_path / "a.ova", firmware="uefi") as drive:
        assert (drive.bus, drive.further[0].bus) == ("sata", "pvscsi")
        assert drive.file.name == "a-disk1.vmdk" and [each.file.name for each in drive.further] == ["a-disk2.vmdk"]
        assert drive.further[0].file.read_bytes() == b"a-disk2.vmdk"


def test_an_archive_without_a_disk(tmp_path: Path) -> None:
    (tmp_path / "a.ova").write_bytes(b"x" * 2048)
    with pytest.raises(VerifyError, match="cannot be read"), boot_drive(tmp_path / "a.ova"):
        pass


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match="no such image"), boot_drive(tmp_path / "no.iso"):
        pass
