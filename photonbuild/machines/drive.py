"""How a finished image is plugged into a machine: what is inside the file, and which devices it expects."""

from __future__ import annotations

import contextlib
import json
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from photonbuild.errors import VerifyError
from photonbuild.images.format import Attachment, Bus, Card
from photonbuild.images.formats import FORMATS


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
def medium(image: Path, *, as_disk: bool = False, bus: Bus | None = None, firmware: str = "bios") -> Iterator[Medium]:
    """The medium in `image`; the disk in an archive is taken out for as long as it is used.

    `bus` is that of the machine's platform, where it is not the one of the image's format. With UEFI a bus that the
    firmware cannot read is replaced. Raises VerifyError when the image is not there or is not one of ours.
    """
    if not image.is_file():
        raise VerifyError("no such image", where=str(image), hint="photonbuild image NAME makes one")
    how = attachment(image)
    bus = "virtio" if how.bus == "cd" and as_disk else bus or how.bus
    if firmware == "uefi":
        bus = UNREAD_BY_UEFI.get(bus, bus)
    with contextlib.ExitStack() as stack:
        if how.member:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="photonbuild-"))
            image = extract_member(image, how.member, Path(folder))
        yield Medium(file=image, format=how.format, bus=bus, card=how.card)


def extract_member(image: Path, suffix: str, folder: Path) -> Path:
    """The first regular file of an archive that has this suffix, put into `folder`. Raises VerifyError."""
    try:
        with tarfile.open(image) as archive:
            for member in archive:
                if member.isreg() and member.name.endswith(suffix):
                    archive.extract(member, folder, filter="data")
                    return folder / member.name
    except (tarfile.TarError, OSError) as error:
        raise VerifyError(f"cannot be read: {error}", where=str(image)) from None
    raise VerifyError("there is no disk in this archive", where=str(image))
