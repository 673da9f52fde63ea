"""Drives of a test machine: how QEMU opens a published image, and on which bus its platform has it."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from photonbuild.errors import VerifyError

Bus = Literal["virtio", "scsi", "pvscsi", "nvme", "sata", "cd"]
Card = Literal["virtio", "vmxnet3", "e1000"]


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A file QEMU opens as `format` (its own name for it) and the bus of the drive.

    What the guest writes is lost, unless the drive is `writable`. `backing` is a file that `file` refers to.
    """

    file: Path
    format: str
    bus: Bus = "virtio"
    writable: bool = False
    backing: Path | None = None


@dataclass(frozen=True, kw_only=True)
class BootDrive(Drive):
    """The drive that a machine starts from, and the network card that belongs to its platform."""

    card: Card = "virtio"


# By suffix: what QEMU calls the format, and the devices that the platform has which takes such images.
KINDS: dict[str, tuple[str, Bus, Card]] = {
    ".iso": ("raw", "cd", "virtio"),
    ".qcow2": ("qcow2", "virtio", "virtio"),
    ".raw": ("raw", "virtio", "virtio"),
    ".vhd": ("vpc", "sata", "virtio"),
    ".vmdk": ("vmdk", "pvscsi", "vmxnet3"),
}


# Where a platform plugs disks in otherwise than the suffix says.
BUSES: dict[str, Bus] = {"ec2": "nvme", "gce": "scsi"}
# Debian's build of the UEFI firmware has no driver of it.
UNREAD_BY_UEFI: dict[Bus, Bus] = {"pvscsi": "sata"}


@contextlib.contextmanager
def boot_drive(
    image: Path, *, as_disk: bool = False, platform: str | None = None, firmware: str = "bios"
) -> Iterator[BootDrive]:
    """The drive of `image`: an OVA's disk and Google's ``disk.raw`` are extracted for as long as the block lasts.

    With UEFI a bus that the firmware cannot read is replaced. Raises VerifyError when the image is not there or is not
    one of ours.
    """
    if not image.is_file():
        raise VerifyError("no such image", where=str(image), hint="photonbuild image NAME makes one")
    if image.suffix == ".ova" or image.name.endswith(".tar.gz"):
        with tempfile.TemporaryDirectory(prefix="photonbuild-") as folder:
            yield _boot_drive(_extracted(image, Path(folder)), as_disk=False, platform=platform, firmware=firmware)
        return
    yield _boot_drive(image, as_disk=as_disk, platform=platform, firmware=firmware)


def _boot_drive(image: Path, *, as_disk: bool, platform: str | None, firmware: str) -> BootDrive:
    format_, bus, card = KINDS.get(image.suffix, KINDS[".raw"])
    bus = "virtio" if bus == "cd" and as_disk else BUSES.get(platform or "", bus)
    if firmware == "uefi":
        bus = UNREAD_BY_UEFI.get(bus, bus)
    return BootDrive(file=image, format=format_, bus=bus, card=card)


def _extracted(image: Path, folder: Path) -> Path:
    try:
        with tarfile.open(image) as archive:
            for member in archive:
                if member.isreg() and Path(member.name).suffix in (".vmdk", ".raw"):
                    archive.extract(member, folder, filter="data")
                    return folder / member.name
    except (tarfile.TarError, OSError) as error:
        raise VerifyError(f"cannot be read: {error}", where=str(image)) from None
    raise VerifyError("there is no disk in this archive", where=str(image))
