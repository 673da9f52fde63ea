#!/usr/bin/python3
"""Fill a Btrfs from a tar, without mounting it, and put it in its place on a disk. Runs in the seed.

Started by `photonbuild.images.filesystems` as `btrfs.py REQUEST` (a JSON file): ``tar``, ``disk``, ``offset``,
``size``, ``uuid``, ``device_uuid``, ``label``, ``epoch``, ``subvolumes`` (paths within the file system; a folder that
the tar has not is made). mkfs.btrfs(8) copies a folder, so the tar is unpacked into one. What is random otherwise
follows from DETERMINISTIC_SEED, and times from SOURCE_DATE_EPOCH, both in the environment (a patch of our package).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

TREE = Path("/tmp/tree")
# What mkfs.btrfs of 2023 made, and Linux 6.1 read.
FEATURES = "extref,skinny-metadata,no-holes,free-space-tree,^block-group-tree"


class Failure(Exception):
    """What cannot be put into the file system, or a tool that failed."""


def run(*argv: str) -> str:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Failure(f"{argv[0]} failed with exit code {done.returncode}: {done.stdout.strip()[-2000:]}")
    return done.stdout


def top_of(tar: str) -> tarfile.TarInfo | None:
    """The entry of the topmost folder. Raises Failure for a device: mkfs.btrfs makes it without its number."""
    top = None
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.isblk() or member.ischr():
                raise Failure(f"/{member.name} is a device, which mkfs.btrfs does not copy")
            if member.name in (".", "./", ""):
                top = member
    return top


def unpack(tar: str, subvolumes: list[str], epoch: int) -> None:
    """The tree, with owners, modes, times, links and attributes; and a folder for each subvolume."""
    top = top_of(tar)
    TREE.mkdir(mode=0o755)
    run("bsdtar", "-x", "-p", "--numeric-owner", "--xattrs", "--acls", "-f", tar, "-C", str(TREE))
    if top:  # which bsdtar leaves as it is
        os.chown(TREE, top.uid, top.gid)
        TREE.chmod(top.mode & 0o7777)
    moment = int(top.mtime) if top else epoch
    os.utime(TREE, (moment, moment))
    for name in sorted(subvolumes):
        folder = TREE / name
        if folder.is_dir():
            continue
        times = {above: above.stat().st_mtime_ns for above in folder.parents if above.is_dir()}
        folder.mkdir(parents=True)
        made = [folder, *(above for above in folder.parents if above.is_relative_to(TREE) and above not in times)]
        for above, moment in {**times, **dict.fromkeys(made, epoch * 10**9)}.items():
            if above.is_relative_to(TREE):
                os.utime(above, ns=(moment, moment))


def mkfs_argv(request: dict[str, Any], image: str) -> list[str]:
    names = [f"--subvol=rw:{name}" for name in request["subvolumes"]]
    return [
        "mkfs.btrfs", "--quiet", "--label", request["label"], "--uuid", request["uuid"],
        "--device-uuid", request["device_uuid"], "--checksum", "crc32c", "--features", FEATURES,
        "--nodiscard", "--rootdir", str(TREE), *names, image,
    ]  # fmt: skip


def place(image: str, disk: str, offset: int) -> None:
    """Copy the image's data to its place on the disk, and leave holes as they are."""
    source, target = os.open(image, os.O_RDONLY), os.open(disk, os.O_WRONLY)
    size, position = os.fstat(source).st_size, 0
    while position < size:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError:  # nothing but a hole up to the end
            break
        end = os.lseek(source, position, os.SEEK_HOLE)
        os.lseek(target, offset + position, os.SEEK_SET)
        while position < end:
            position += os.sendfile(target, source, position, min(end - position, 1 << 30))
    os.close(source)
    os.close(target)


def build(request: dict[str, Any]) -> None:
    size, disk = request["size"], request["disk"]
    image = f"{disk}.btrfs"
    unpack(request["tar"], request["subvolumes"], request["epoch"])
    with open(image, "wb") as handle:
        handle.truncate(size)
    try:
        run(*mkfs_argv(request, image))
        # It enlarges a file that it takes to be too small.
        wanted = os.stat(image).st_size
        if wanted > size:
            raise Failure(f"mkfs.btrfs reserves {-(-wanted >> 20)} MiB for these files, and there are {size >> 20} MiB")
        run("btrfs", "check", "--check-data-csum", image)
        place(image, disk, request["offset"])
    finally:
        os.unlink(image)


def main(argv: list[str]) -> int:
    with open(argv[0], encoding="utf-8") as handle:
        request = json.load(handle)
    try:
        build(request)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
