"""The pico machine's kernel and initramfs: what QEMU is given to run a container image as a virtual machine.

The root file system of the profile is only where they are taken from. cpio: newc, see the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from photonbuild.config.models import Image
from photonbuild.errors import ImageError
from photonbuild.files import sha256_of
from photonbuild.images.archive import extract_file
from photonbuild.images.disk import timed
from photonbuild.images.format import Format
from photonbuild.images.publish import ImageResult, publish
from photonbuild.images.request import ImageRequest

DIRECTORY, REGULAR = 0o040000, 0o100000
FOLDERS = ("dev", "proc", "run", "sys")
SUFFIX, EXTRAS = ".vmlinux", (".vmlinuz", ".initrd", ".zygote.so", ".rehearsal", ".net")


class PicoImage(Image):
    """``format: pico``: kernel and initramfs of a machine that is one container.

    `init`: its first program. `preload`: the library that lets a QEMU copy itself. `rehearsal`: the disk with which a
    machine does once what its copies will do. `network`: the program that carries a machine's frames to sockets.
    """

    format: Literal["pico"]
    init: Annotated[str, Field(pattern=r"^/")]
    preload: Annotated[str, Field(pattern=r"^/")]
    rehearsal: Annotated[str, Field(pattern=r"^/")]
    network: Annotated[str, Field(pattern=r"^/")]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a cpio archive."""

    name: str
    mode: int
    content: bytes = b""


def build_pico(request: ImageRequest) -> ImageResult:
    """Make and publish ``.vmlinux`` (ELF, PVH entry), ``.vmlinuz`` (bzImage) and ``.initrd``. Raises ImageError.

    Beside them what the host needs: for copies of a machine ``.zygote.so`` and ``.rehearsal`` (EROFS), for its
    network ``.net``.
    """
    image = request.image
    assert isinstance(image, PicoImage)
    seconds: dict[str, float] = {}
    started = time.monotonic()
    if len(request.rootfs.kernels) != 1:
        raise ImageError(f"one kernel is needed, found {len(request.rootfs.kernels)}", where=f"profile {image.profile}")
    packed = PurePosixPath(request.rootfs.kernels[0])
    kernel, small, initrd, preload, rehearsal, network = (
        request.folder / f"image{suffix}" for suffix in (SUFFIX, *EXTRAS)
    )
    extract_file(request.rootfs.tar, str(packed.with_name("vmlinux")), kernel)
    extract_file(request.rootfs.tar, str(packed), small)
    extract_file(request.rootfs.tar, image.preload, preload)
    extract_file(request.rootfs.tar, image.rehearsal, rehearsal)
    extract_file(request.rootfs.tar, image.network, network)
    extract_file(request.rootfs.tar, image.init, request.folder / "init")
    entries = initrd_entries((request.folder / "init").read_bytes())
    initrd.write_bytes(cpio(entries, request.workspace.epoch))
    timed(seconds, "initrd", started)
    extras = [small, initrd, preload, rehearsal, network]
    facts = {path.name.removeprefix("image."): sha256_of(path) for path in extras}
    return publish(request, kernel, facts=facts, seconds=seconds, extras=extras)


def initrd_entries(init: bytes) -> list[Entry]:
    """Folders to mount on, and the first program."""
    folders = [Entry(name=name, mode=DIRECTORY | 0o755) for name in FOLDERS]
    return [*folders, Entry(name="init", mode=REGULAR | 0o755, content=init)]


def cpio(entries: Sequence[Entry], epoch: int) -> bytes:
    """A newc archive: owners 0, times `epoch`, inode numbers in the order of the entries; a multiple of 512 bytes."""
    out = bytearray()
    for number, entry in enumerate([*entries, Entry(name="TRAILER!!!", mode=0)], 1):
        name = os.fsencode(entry.name) + b"\0"
        trailer = not entry.mode
        links = 0 if trailer else 2 if entry.mode & 0o170000 == DIRECTORY else 1
        fields = (
            0 if trailer else number, entry.mode, 0, 0, links, 0 if trailer else epoch, len(entry.content),
            0, 0, 0, 0, len(name), 0,
        )  # fmt: skip
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + entry.content
        out += bytes(-len(out) % 4)
    return bytes(out + bytes(-len(out) % 512))


FORMAT = Format(name="pico", model=PicoImage, suffix=SUFFIX, extras=EXTRAS, build=build_pico)
