"""How a finished image is plugged into a machine: what is inside the file, and which devices it expects."""

from __future__ import annotations

import contextlib
import json
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
class Medium(Drive):
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


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an image's manifest says of it: its platform, and the files that its configuration set."""

    platform: str | None
    configured: tuple[str, ...] = ()


def describe(image: Path, *, platform: str | None = None) -> Description:
    """What the manifest beside `image` says; with `platform`, a name or ``none``, that is taken for granted.

    Raises VerifyError when there is no manifest and no `platform`, or when the manifest is not one of ours.
    """
    path = image.with_name(f"{image.name}.manifest.json")
    hint = "keep the manifest beside the image, or say --platform NAME (none for an image of no cloud)"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        described = Description(platform=content["platform"], configured=tuple(content["configured"]))
    except FileNotFoundError:
        if platform is None:
            raise VerifyError("there is no manifest beside the image", where=str(path), hint=hint) from None
        described = Description(platform=None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VerifyError(f"the manifest is damaged: {error!r}", where=str(path), hint=hint) from None
    if platform is not None:
        described = replace(described, platform=None if platform == "none" else platform)
    return described


@contextlib.contextmanager
def medium(
    image: Path, *, as_disk: bool = False, platform: str | None = None, firmware: str = "bios"
) -> Iterator[Medium]:
    """The medium in `image`: an OVA's disk and Google's ``disk.raw`` are taken out for as long as it is used.

    With UEFI a bus that the firmware cannot read is replaced. Raises VerifyError when the image is not there or is not
    one of ours.
    """
    if not image.is_file():
        raise VerifyError("no such image", where=str(image), hint="photonbuild image NAME makes one")
    if image.suffix == ".ova" or image.name.endswith(".tar.gz"):
        with tempfile.TemporaryDirectory(prefix="photonbuild-") as folder:
            yield _medium(_taken_out(image, Path(folder)), as_disk=False, platform=platform, firmware=firmware)
        return
    yield _medium(image, as_disk=as_disk, platform=platform, firmware=firmware)


def _medium(image: Path, *, as_disk: bool, platform: str | None, firmware: str) -> Medium:
    format_, bus, card = KINDS.get(image.suffix, KINDS[".raw"])
    bus = "virtio" if bus == "cd" and as_disk else BUSES.get(platform or "", bus)
    if firmware == "uefi":
        bus = UNREAD_BY_UEFI.get(bus, bus)
    return Medium(file=image, format=format_, bus=bus, card=card)


def _taken_out(image: Path, folder: Path) -> Path:
    try:
        with tarfile.open(image) as archive:
            for member in archive:
                if member.isreg() and Path(member.name).suffix in (".vmdk", ".raw"):
                    archive.extract(member, folder, filter="data")
                    return folder / member.name
    except (tarfile.TarError, OSError) as error:
        raise VerifyError(f"cannot be read: {error}", where=str(image)) from None
    raise VerifyError("there is no disk in this archive", where=str(image))
