"""File systems in a disk's file, filled from a tar, without a mount: one maker for each name of `disk.filesystem`."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from photonbuild import code
from photonbuild.disk.gpt import MIB, ROOT, VAR, Partition
from photonbuild.disk.grub import EXT4_FEATURES
from photonbuild.errors import ImageError
from photonbuild.images.layout import partition
from photonbuild.images.request import ImageRequest, tools
from photonbuild.sandbox.sandbox import Bind

BLOCK = 4096
# A file system's own structures: journal and tables, of which the size of its inodes is the most.
OVERHEAD, INODE = 32 * MIB, 512
XFS_PROGRAM = code.program("photonbuild.images.inside.xfs")
OPTIONS = {"ext4": ("ext4 rw", 1), "xfs": ("xfs rw", 0)}  # of fstab(5): type and options, order of checks


def make_filesystems(request: ImageRequest, table: Sequence[Partition], kind: str) -> None:
    """The root's and, if it is one of its own, /var's. Raises ImageError, which says how much room is missing."""
    names = [part.name for part in table]
    sources = {ROOT: "/root.tar"}
    check_room(table, needed(request.rootfs.tar, split=VAR in names))
    if VAR in names:
        for argv in split_argvs():
            tools(request, argv)
        sources = {ROOT: "/work/root-only.tar", VAR: "/work/var.tar"}
    for name, source in sources.items():
        MAKERS[kind](request, partition(table, name), source)


def needed(tar: Path, *, split: bool) -> dict[str, int]:
    """Bytes that each file system has to have, by partition: whole blocks, inodes, and what is the file system's."""
    sizes = {ROOT: OVERHEAD, VAR: OVERHEAD}
    with tarfile.open(tar) as archive:
        for member in archive:
            below = split and member.name.startswith("./var/")
            sizes[VAR if below else ROOT] += -(-member.size // BLOCK) * BLOCK + INODE
    return sizes if split else {ROOT: sizes[ROOT]}


def check_room(table: Sequence[Partition], sizes: Mapping[str, int]) -> None:
    """Raises ImageError when a partition is smaller than what has to go into it."""
    for name, size in sizes.items():
        part = partition(table, name)
        if size > part.size:
            key = "disk.size" if part is table[-1] else "disk.root_size"
            missing = -(-(size - part.size) // MIB)
            raise ImageError(
                f"'{name}' needs {-(-size // MIB)} MiB and has {part.size // MIB} MiB",
                where="disk",
                hint=f"make {key} at least {missing} MiB larger in build/images",
            )


def split_argvs() -> list[list[str]]:
    """bsdtar(1): the root's tar without what is below /var, and that by itself."""
    common = ["bsdtar", "--create", "--format=pax"]
    return [
        [*common, "--file=/work/root-only.tar", "--exclude=./var/*", "@/root.tar"],
        [*common, "--file=/work/var.tar", "--include=./var", "--include=./var/*", "-s,^\\./var,.,", "@/root.tar"],
    ]


def make_ext4(request: ImageRequest, part: Partition, source: str) -> None:
    tools(request, mke2fs_argv(part, source=source))


def mke2fs_argv(part: Partition, *, source: str) -> list[str]:
    """mke2fs(8) from a tar into the partition's place in the disk's file."""
    extended = f"offset={part.start},hash_seed={part.filesystem_uuid},root_owner=0:0,lazy_itable_init=1"
    return [
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-L", part.name, "-U", part.filesystem_uuid,
        "-O", EXT4_FEATURES, "-E", extended, "-d", source, "/work/disk.raw", f"{part.size // 1024}k",
    ]  # fmt: skip


def make_xfs(request: ImageRequest, part: Partition, source: str) -> None:
    wanted = {
        "tar": source,
        "disk": "/work/disk.raw",
        "offset": part.start,
        "size": part.size,
        "uuid": part.filesystem_uuid,
        "label": part.name,
        "epoch": request.workspace.epoch,
    }
    (request.folder / "xfs.json").write_text(json.dumps(wanted), encoding="utf-8")
    tools(
        request,
        ["python3", "-I", "/xfs.py", "/work/xfs.json"],
        binds=[Bind(source=XFS_PROGRAM, target="/xfs.py")],
        env={"DETERMINISTIC_SEED": f"0x{part.filesystem_uuid.replace('-', '')[:16]}"},
    )


MAKERS: Mapping[str, Callable[[ImageRequest, Partition, str], None]] = {"ext4": make_ext4, "xfs": make_xfs}
