"""The pico machine's kernel and initramfs: what QEMU is given to run a container image as a virtual machine.

The root file system of the profile is only where they are taken from. cpio: newc, see the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import os
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from photonbuild.config.models import PicoImage
from photonbuild.errors import ImageError
from photonbuild.files import sha256_of
from photonbuild.images.disk import timed
from photonbuild.images.request import ImageRequest, ImageResult, publish

DIRECTORY, REGULAR = 0o040000, 0o100000
FOLDERS = ("dev", "proc", "run", "sys")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a cpio archive."""

    name: str
    mode: int
    content: bytes = b""


def build_pico(request: ImageRequest) -> ImageResult:
    """Make and publish ``.vmlinux`` (ELF, PVH entry), ``.vmlinuz`` (bzImage) and ``.initrd``. Raises ImageError.

    Beside them what the host needs for copies of a machine: ``.zygote.so`` and ``.rehearsal`` (EROFS).
    """
    image = request.image
    assert isinstance(image, PicoImage)
    seconds: dict[str, float] = {}
    started = time.monotonic()
    if len(request.rootfs.kernels) != 1:
        raise ImageError(f"one kernel is needed, found {len(request.rootfs.kernels)}", where=f"profile {image.profile}")
    packed = PurePosixPath(request.rootfs.kernels[0])
    suffixes = ("vmlinux", "vmlinuz", "initrd", "zygote.so", "rehearsal")
    kernel, small, initrd, preload, rehearsal = (request.workdir / f"image.{suffix}" for suffix in suffixes)
    take(request.rootfs.tar, str(packed.with_name("vmlinux")), kernel)
    take(request.rootfs.tar, str(packed), small)
    take(request.rootfs.tar, image.preload, preload)
    take(request.rootfs.tar, image.rehearsal, rehearsal)
    take(request.rootfs.tar, image.init, request.workdir / "init")
    entries = initrd_entries((request.workdir / "init").read_bytes())
    initrd.write_bytes(cpio(entries, request.distribution.source_date_epoch))
    timed(seconds, "initrd", started)
    extras = {"vmlinuz": small, "initrd": initrd, "zygote.so": preload, "rehearsal": rehearsal}
    facts = {name: sha256_of(path) for name, path in extras.items()}
    return publish(
        request, kernel, facts={"kernel": packed.parent.name, **facts}, seconds=seconds, extras=[*extras.values()]
    )


def take(tar: Path, name: str, target: Path) -> None:
    """One regular file out of the root's tar. Raises ImageError."""
    wanted = PurePosixPath(name.lstrip("/"))
    with tarfile.open(tar) as archive:
        for member in archive:
            if PurePosixPath(member.name) == wanted and member.isreg():
                content = archive.extractfile(member)
                assert content is not None
                target.write_bytes(content.read())
                return
    raise ImageError("not in the packages of the profile", where=f"/{wanted}")


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
