"""File systems in a disk's file, filled from a tar, without a mount: one maker for each name of `disk.filesystem`."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from photonbuild import code
from photonbuild.config.disk import Disk
from photonbuild.disk.gpt import MIB, ROOT, SWAP, Partition, named_uuid
from photonbuild.disk.grub import EXT4_FEATURES
from photonbuild.errors import ImageError
from photonbuild.images.layout import filesystem_of, mounts, partition, subvolumes_of
from photonbuild.images.request import ImageRequest, tools
from photonbuild.sandbox.sandbox import Bind

BLOCK = 4096
# A file system's own structures: journal and tables, of which the size of its inodes is the most.
OVERHEAD, INODE = 32 * MIB, 512
XFS_PROGRAM = code.program("photonbuild.images.inside.xfs")
BTRFS_PROGRAM = code.program("photonbuild.images.inside.btrfs")
# Of fstab(5): type and options, order of checks.
OPTIONS = {"ext4": ("ext4 rw", 1), "xfs": ("xfs rw", 0), "btrfs": ("btrfs rw", 0)}


def make_filesystems(request: ImageRequest, table: Sequence[Partition], disk: Disk) -> None:
    """The root's, those of its own of /var and others, and swap. Raises ImageError, which says how much is missing."""
    places = mounts(disk)
    sources = {ROOT: "/root.tar"}
    check_room(table, needed(request.rootfs.tar, places))
    if len(places) > 1:
        for argv in split_argvs(places):
            tools(request, argv)
        sources = {name: f"/work/{name}{'-only' if name == ROOT else ''}.tar" for name in places}
    for name, source in sources.items():
        MAKERS[filesystem_of(disk, name)](request, partition(table, name), source, subvolumes_of(disk, name))
    if disk.swap:
        make_swap(request, partition(table, SWAP))


def home_of(name: str, places: Mapping[str, str]) -> str:
    """The partition, by name, that a member of the root's tar goes to: that of the longest path above it.

    A mount point itself belongs to what is around it.
    """
    path = "/" + name.removeprefix("./").rstrip("/")
    found = {part: place for part, place in places.items() if path.startswith(f"{place.rstrip('/')}/")}
    return max(found, key=lambda part: len(found[part]), default=ROOT)


def needed(tar: Path, places: Mapping[str, str]) -> dict[str, int]:
    """Bytes that each file system has to have, by partition: whole blocks, inodes, and what is the file system's."""
    sizes = dict.fromkeys(places, OVERHEAD)
    with tarfile.open(tar) as archive:
        for member in archive:
            sizes[home_of(member.name, places)] += -(-member.size // BLOCK) * BLOCK + INODE
    return sizes


def check_room(table: Sequence[Partition], sizes: Mapping[str, int]) -> None:
    """Raises ImageError when a partition is smaller than what has to go into it."""
    for name, size in sizes.items():
        part = partition(table, name)
        if size > part.size:
            keys = {ROOT: "disk.root_size", table[-1].name: "disk.size"}
            missing = -(-(size - part.size) // MIB)
            raise ImageError(
                f"'{name}' needs {-(-size // MIB)} MiB and has {part.size // MIB} MiB",
                where="disk",
                hint=f"make {keys.get(name, 'its size')} at least {missing} MiB larger in build/images",
            )


def split_argvs(places: Mapping[str, str]) -> list[list[str]]:
    """bsdtar(1): of the root's tar, for each file system what is below its mount point and not below a further one."""
    common = ["bsdtar", "--create", "--format=pax"]
    argvs = []
    for name, place in places.items():
        below = [other for other in places.values() if other != place and other.startswith(f"{place.rstrip('/')}/")]
        # Not the mount points themselves, whose names end in a slash: a root that is read-only has to have them.
        without = [f"--exclude=.{other}/?*" for other in below]
        if name == ROOT:
            argvs.append([*common, "--file=/work/root-only.tar", *without, "@/root.tar"])
            continue
        own = [f"--include=.{place}", f"--include=.{place}/*", f"-s,^\\.{place},.,"]
        argvs.append([*common, f"--file=/work/{name}.tar", *without, *own, "@/root.tar"])
    return argvs


def make_swap(request: ImageRequest, part: Partition) -> None:
    """mkswap(8): all that there is of a swap area is its first page."""
    area, disk = request.folder / "swap.img", request.folder / "disk.raw"
    with area.open("wb") as handle:
        handle.truncate(part.size)
    tools(request, ["mkswap", "--uuid", part.filesystem_uuid, "--label", part.name, "/work/swap.img"])
    with area.open("rb") as source, disk.open("r+b") as target:
        target.seek(part.start)
        target.write(source.read(BLOCK))
    area.unlink()


def make_ext4(request: ImageRequest, part: Partition, source: str, subvolumes: Sequence[str] = ()) -> None:
    tools(request, mke2fs_argv(part, source=source))


def mke2fs_argv(part: Partition, *, source: str) -> list[str]:
    """mke2fs(8) from a tar into the partition's place in the disk's file."""
    extended = f"offset={part.start},hash_seed={part.filesystem_uuid},root_owner=0:0,lazy_itable_init=1"
    return [
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-L", part.name, "-U", part.filesystem_uuid,
        "-O", EXT4_FEATURES, "-E", extended, "-d", source, "/work/disk.raw", f"{part.size // 1024}k",
    ]  # fmt: skip


def make_xfs(request: ImageRequest, part: Partition, source: str, subvolumes: Sequence[str] = ()) -> None:
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


def make_btrfs(request: ImageRequest, part: Partition, source: str, subvolumes: Sequence[str] = ()) -> None:
    wanted = {
        "tar": source,
        "disk": "/work/disk.raw",
        "offset": part.start,
        "size": part.size,
        "uuid": part.filesystem_uuid,
        "device_uuid": named_uuid(part.filesystem_uuid, "device"),
        "label": part.name,
        "epoch": request.workspace.epoch,
        "subvolumes": list(subvolumes),
    }
    (request.folder / "btrfs.json").write_text(json.dumps(wanted), encoding="utf-8")
    tools(
        request,
        ["python3", "-I", "/btrfs.py", "/work/btrfs.json"],
        binds=[Bind(source=BTRFS_PROGRAM, target="/btrfs.py")],
        env={"DETERMINISTIC_SEED": part.filesystem_uuid, "SOURCE_DATE_EPOCH": str(request.workspace.epoch)},
    )


Maker = Callable[[ImageRequest, Partition, str, Sequence[str]], None]
MAKERS: Mapping[str, Maker] = {"ext4": make_ext4, "xfs": make_xfs, "btrfs": make_btrfs}
