"""File systems in a disk's file, filled from a tar, without a mount: one maker for each name of `disk.filesystem`."""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from photonbuild import code
from photonbuild.disk.gpt import MIB, ROOT, Partition, named_uuid
from photonbuild.disk.grub import EXT4_FEATURES
from photonbuild.errors import ImageError
from photonbuild.images.layout import SWAP_KIND, FileSystem
from photonbuild.images.request import ImageRequest, disk_request, tools
from photonbuild.images.sparse import copy_data
from photonbuild.sandbox.sandbox import Bind

BLOCK = 4096
PART_TAR = "/work/part.tar"
# A file system's own structures: journal and tables, of which the size of its inodes is the most.
OVERHEAD, INODE = 32 * MIB, 512
XFS_PROGRAM = code.program("photonbuild.images.inside.xfs")
BTRFS_PROGRAM = code.program("photonbuild.images.inside.btrfs")
# Of fstab(5): type and options, order of checks.
OPTIONS = {"ext4": ("ext4 rw", 1), "xfs": ("xfs rw", 0), "btrfs": ("btrfs rw", 0)}


def make_filesystems(request: ImageRequest, found: Sequence[FileSystem], last: str) -> None:
    """Those of all disks and volumes, the root's first, and swap. `last`: the partition that takes what is left.

    Raises ImageError, which says how much is missing.
    """
    places = {each.name: each.path for each in found if each.path}
    check_room({each.name: each.size for each in found}, needed(request.rootfs.tar, places), last)
    for each in found:
        with _file_of(request, each) as mine:
            if each.kind == SWAP_KIND:
                make_swap(mine, each.part)
            elif len(places) == 1:
                MAKERS[each.kind](mine, each.part, "/root.tar", each.subvolumes)
            else:
                tools(mine, split_argv(each.name, places))
                MAKERS[each.kind](mine, each.part, PART_TAR, each.subvolumes)
                (mine.folder / PART_TAR.rpartition("/")[2]).unlink()


@contextlib.contextmanager
def _file_of(request: ImageRequest, each: FileSystem) -> Iterator[ImageRequest]:
    """A request whose ``disk.raw`` the file system is made in: its disk's, or one that is copied to where it lies."""
    if len(each.places) == 1:
        yield disk_request(request, each.places[0].disk)
        return
    alone = disk_request(request, "volume")
    file = alone.folder / "disk.raw"
    with file.open("wb") as handle:
        handle.truncate(each.size)
    yield alone
    start = 0
    for place in each.places:
        copy_data(file, start, place.size, disk_request(request, place.disk).folder / "disk.raw", place.start)
        start += place.size
    file.unlink()


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


def check_room(sizes: Mapping[str, int], wanted: Mapping[str, int], last: str) -> None:
    """Raises ImageError when a file system is smaller than what has to go into it. `last`: the one without a size."""
    for name, size in wanted.items():
        if size > sizes[name]:
            keys = {ROOT: "disk.root_size", last: "disk.size"}
            missing = -(-(size - sizes[name]) // MIB)
            raise ImageError(
                f"'{name}' needs {-(-size // MIB)} MiB and has {sizes[name] // MIB} MiB",
                where="disk",
                hint=f"make {keys.get(name, 'its size')} at least {missing} MiB larger in build/images",
            )


def split_argv(name: str, places: Mapping[str, str]) -> list[str]:
    """bsdtar(1): of the root's tar, what is below the mount point of this file system and not below a further one."""
    common = ["bsdtar", "--create", "--format=pax", f"--file={PART_TAR}"]
    place = places[name]
    below = [other for other in places.values() if other != place and other.startswith(f"{place.rstrip('/')}/")]
    # Not the mount points themselves, whose names end in a slash: a root that is read-only has to have them.
    without = [f"--exclude=.{other}/?*" for other in below]
    if place == "/":
        return [*common, *without, "@/root.tar"]
    own = [f"--include=.{place}", f"--include=.{place}/*", f"-s,^\\.{place},.,"]
    return [*common, *without, *own, "@/root.tar"]


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
