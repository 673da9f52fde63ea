"""What an image format is: one value, which its module in `photonbuild.images.formats` exports as FORMAT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from photonbuild.config.models import Image
from photonbuild.images.installset import Role, SetProfile
from photonbuild.images.publish import ImageResult
from photonbuild.images.request import ImageRequest
from photonbuild.images.rootfs import RootfsFile
from photonbuild.images.sign import Signer

Bus = Literal["virtio", "scsi", "pvscsi", "nvme", "sata", "cd", "usb-ehci", "usb-xhci"]
Card = Literal["virtio", "vmxnet3", "e1000"]


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """How a machine is given an image: QEMU's name for the format, the bus of the drive and the network card.

    With `member` the image is an archive, and the drive is the file in it that has this suffix.
    """

    format: str
    bus: Bus = "virtio"
    card: Card = "virtio"
    member: str | None = None


def no_sets(image: Image) -> Mapping[Role, SetProfile]:
    return {}


def no_root_files(image: Image, identity: str, title: str) -> Sequence[RootfsFile]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Format:
    """One image format, all that is true of it.

    `model`: what a file of ``build/images`` with this `name` as its ``format`` may hold. `suffix` is that of the
    published image, `extras` are those of the files beside it, `further` those of each further disk's own files, by
    default the image's; each has the disk's name before it. `sets`: the install sets that the settings ask for
    besides that of the root; `root_files`: files of the root besides those of packages, by settings, identity and the
    distribution's title. Both are pure. `machine_seed`: its tools come from the machine seed, too. `data`: what it
    reads of ``build/``. `attachment` is None for what does not boot by itself. `sign` makes the folder of a signed
    image from that of a finished one. With `network` a machine starts of it over the network.
    """

    name: str
    model: type[Image]
    suffix: str
    extras: Sequence[str] = ()
    further: Sequence[str] | None = None
    build: Callable[[ImageRequest], ImageResult]
    sets: Callable[[Image], Mapping[Role, SetProfile]] = no_sets
    root_files: Callable[[Image, str, str], Sequence[RootfsFile]] = no_root_files
    machine_seed: bool = False
    data: Sequence[str] = ()
    attachment: Attachment | None = None
    sign: Callable[[Path, Path, Signer], None] | None = None
    network: bool = False

    def names(self, stem: str, disk: str) -> Sequence[str]:
        """Names of the files of a further disk, where those of the image begin with `stem`."""
        return [f"{stem}.{disk}{suffix}" for suffix in ([self.suffix] if self.further is None else self.further)]

    @property
    def boots(self) -> bool:
        """Can a machine be started of it?"""
        return self.attachment is not None or self.network
