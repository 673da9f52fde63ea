"""Drives of a test machine: how QEMU opens a published image, and on which bus its platform has it."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from photonbuild.errors import VerifyError
from photonbuild.images.format import Attachment, Bus, Card
from photonbuild.images.formats import FORMATS
from photonbuild.machines.manifest import further_files


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A file QEMU opens as `format` (its own name for it) and the bus of the drive.

    What the guest writes is lost, unless the drive is `writable`; `cache` is what QEMU then does with it, see its
    option of that name. `backing` is a file that `file` refers to.
    """

    file: Path
    format: str
    bus: Bus = "virtio"
    writable: bool = False
    cache: str = "unsafe"
    backing: Path | None = None


@dataclass(frozen=True, kw_only=True)
class BootDrive(Drive):
    """The drive that a machine starts from, those of the image's `further` disks, and its platform's network card."""

    card: Card = "virtio"
    further: tuple[Drive, ...] = ()


# Debian's build of the UEFI firmware has no driver of it.
UNREAD_BY_UEFI: dict[Bus, Bus] = {"pvscsi": "sata"}


def attachment(image: Path) -> Attachment:
    """How an image of ours is attached, by its suffix; what is of no format of ours is a disk as it is."""
    known = {}
    for found in FORMATS.values():
        if found.attachment:
            known[found.suffix] = found.attachment
            if found.attachment.member:
                known.setdefault(found.attachment.member, replace(found.attachment, member=None))
    return next((known[suffix] for suffix in known if image.name.endswith(suffix)), Attachment(format="raw"))


@contextlib.contextmanager
def boot_drive(
    image: Path, *, as_disk: bool = False, bus: Bus | None = None, firmware: str = "bios"
) -> Iterator[BootDrive]:
    """The drive of `image`, with those of its further disks; one in an archive is extracted for as long as it is used.

    `bus` is that of the machine's platform, where it is not the one of the image's format. With UEFI a bus that the
    firmware cannot read is replaced. Raises VerifyError when the image is not there or is not one of ours.
    """
    if not image.is_file():
        raise VerifyError("no such image", where=str(image), hint="photonbuild image NAME makes one")
    if image.suffix == FORMATS["netboot"].suffix:
        raise VerifyError(
            "this is started from the network, and is no drive", where=str(image), hint="photonbuild boot FILE"
        )
    how = attachment(image)
    bus = "usb-xhci" if how.bus == "cd" and as_disk else bus or how.bus
    # What nothing is started from stays on the platform's bus.
    others = bus
    if firmware == "uefi":
        bus = UNREAD_BY_UEFI.get(bus, bus)
    files = [image, *further_files(image)]
    with contextlib.ExitStack() as stack:
        if how.member:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="photonbuild-")))
            files = [
                disk
                for number, file in enumerate(files)
                for disk in extract_members(file, how.member, folder / str(number))
            ]
        further = tuple(Drive(file=file, format=how.format, bus=others) for file in files[1:])
        yield BootDrive(file=files[0], format=how.format, bus=bus, card=how.card, further=further)


def extract_members(image: Path, suffix: str, folder: Path) -> list[Path]:
    """The regular files of an archive that have this suffix, in its order, put into `folder`. Raises VerifyError."""
    found = []
    try:
        with tarfile.open(image) as archive:
            for member in archive:
                if member.isreg() and member.name.endswith(suffix):
                    archive.extract(member, folder, filter="data")
                    found.append(folder / member.name)
    except (tarfile.TarError, OSError) as error:
        raise VerifyError(f"cannot be read: {error}", where=str(image)) from None
    if not found:
        raise VerifyError("there is no disk in this archive", where=str(image))
    return found
