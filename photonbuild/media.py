"""How a finished image is plugged into a machine: what is inside the file, and which devices it expects."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import VerifyError

Bus = Literal["virtio", "pvscsi", "nvme", "sata", "cd"]
Card = Literal["virtio", "vmxnet3", "e1000"]


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A file QEMU opens as `format` (its own name for it) and the bus of the drive.

    What the guest writes is lost, unless the drive is `writable`.
    """

    file: Path
    format: str
    bus: Bus = "virtio"
    writable: bool = False


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


@contextlib.contextmanager
def medium(image: Path, *, as_disk: bool = False) -> Iterator[Medium]:
    """The medium in `image`: an OVA's disk and Google's ``disk.raw`` are taken out for as long as it is used.

    Raises VerifyError when the image is not there or is not one of ours.
    """
    if not image.is_file():
        raise VerifyError("no such image", where=str(image), hint="photonbuild image NAME makes one")
    if image.suffix == ".ova" or image.name.endswith(".tar.gz"):
        with tempfile.TemporaryDirectory(prefix="photonbuild-") as folder:
            yield _medium(_taken_out(image, Path(folder)), as_disk=False)
        return
    yield _medium(image, as_disk=as_disk)


def _medium(image: Path, *, as_disk: bool) -> Medium:
    format_, bus, card = KINDS.get(image.suffix, KINDS[".raw"])
    return Medium(file=image, format=format_, bus="virtio" if bus == "cd" and as_disk else bus, card=card)


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
