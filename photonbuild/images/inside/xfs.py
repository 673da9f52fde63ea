#!/usr/bin/python3
"""Fill an XFS file system from a root's tar, without mounting it, and put it in its place on a disk. Runs in the seed.

Started by `photonbuild.images.filesystems` as `xfs.py REQUEST` (a JSON file): ``tar``, ``disk``, ``offset``, ``size``,
``uuid``, ``label``, ``epoch``. mkfs.xfs(8) takes names, owners, content and links from a prototype file; that has no
place for hard links, sticky bits, times and extended attributes, so xfs_db(8) adds those. Generations of inodes and the
time of creation are fixed by DETERMINISTIC_SEED and SOURCE_DATE_EPOCH in the environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

# What Linux 6.1 had, so that GRUB's reader knows all of it.
FEATURES = [
    "-m", "crc=1,bigtime=1,finobt=1,inobtcount=1,reflink=1,rmapbt=0,metadir=0,autofsck=0",
    "-i", "sparse=1,nrext64=0,exchange=0", "-n", "ftype=1,parent=0", "-b", "size=4096", "-s", "size=512",
]  # fmt: skip
CONTENT = Path("/tmp/content")
XATTR = "SCHILY.xattr."
NAMESPACES = {"user": "-u", "trusted": "-r", "security": "-s"}
# Times are nanoseconds since the smallest time that 32 bits hold.
ORIGIN = 1 << 31
ROOT = PurePosixPath("/")


class Failure(Exception):
    """What cannot be put into the file system, or a tool that failed."""


def mode_text(member: tarfile.TarInfo, kind: str) -> str:
    """``d--755``: type, set-user-ID, set-group-ID, permissions."""
    bits = ("u" if member.mode & 0o4000 else "-") + ("g" if member.mode & 0o2000 else "-")
    return f"{kind}{bits}{member.mode & 0o777:03o} {member.uid} {member.gid}"


def checked(text: str, what: str) -> str:
    if re.search(r"[\s\x00-\x1f]", text) or text[:1] in (":", "$"):
        raise Failure(f"{what} {text!r} cannot be written in a prototype file for mkfs.xfs")
    return text


class Tree:
    """The members of a root's tar by path, and the files that mkfs.xfs reads their content from."""

    def __init__(self, tar: str) -> None:
        self.members: dict[PurePosixPath, tarfile.TarInfo] = {}
        self.children: dict[PurePosixPath, list[PurePosixPath]] = {}
        self.content: dict[PurePosixPath, Path] = {}
        CONTENT.mkdir()
        with tarfile.open(tar) as archive:
            for member in archive:
                path = ROOT / member.name
                self.members[path] = member
                if path != ROOT:
                    self.children.setdefault(path.parent, []).append(path)
                if member.isreg():
                    source = archive.extractfile(member)
                    assert source is not None
                    self.content[path] = CONTENT / str(len(self.content))
                    with source, self.content[path].open("wb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)

    def prototype(self) -> str:
        """The prototype file: see mkfs.xfs(8), option -p."""
        return "\n".join(["root", "0 0", *self._lines(ROOT), ""])

    def _lines(self, path: PurePosixPath) -> list[str]:
        member = self.members[path]
        name = "" if path == ROOT else checked(path.name, "the name") + " "
        if member.isdir():
            below = [line for child in sorted(self.children.get(path, [])) for line in self._lines(child)]
            return [name + mode_text(member, "d"), *below, "$"]
        if member.isreg():
            return [f"{name}{mode_text(member, '-')} {self.content[path]}"]
        if member.issym():
            return [f"{name}{mode_text(member, 'l')} {checked(member.linkname, 'the target of a link')}"]
        if member.isfifo():
            return [name + mode_text(member, "p")]
        if member.isdev():
            kind = "c" if member.ischr() else "b"
            return [f"{name}{mode_text(member, kind)} {member.devmajor} {member.devminor}"]
        if member.islnk():
            return []
        raise Failure(f"{path} is of a type that mkfs.xfs does not make")

    def changes(self, epoch: int) -> list[str]:
        """Commands of xfs_db(8): links first, as they change times; then attributes, modes and times."""
        lines = []
        for path, member in self.members.items():
            if member.islnk():
                checked(path.name, "the name")
                lines += [f"path {path.parent}", f"link -p {ROOT / member.linkname} {path.name}"]
        for number, (path, member) in enumerate(self.members.items()):
            todo = [] if member.islnk() else attributes(member, number)
            if member.mode & 0o1000 and member.isdir():
                todo.append(f"write core.mode 0{0o040000 | member.mode:o}")
            if int(member.mtime) != epoch and not member.islnk():
                stamp = (int(member.mtime) + ORIGIN) * 1_000_000_000
                # Either field of a time stamp is, to xfs_db, all of its 64 bits.
                todo += [f"write core.{name}.sec {stamp}" for name in ("atime", "mtime")]
            if todo:
                lines += [f"path {path}", *todo]
        return lines


def attributes(member: tarfile.TarInfo, number: int) -> list[str]:
    """Commands that set a member's extended attributes, their values in files."""
    lines = []
    for index, (key, value) in enumerate(sorted(member.pax_headers.items())):
        if not key.startswith(XATTR):
            continue
        space, _, name = key.removeprefix(XATTR).partition(".")
        if space not in NAMESPACES:
            raise Failure(f"/{member.name} has the attribute {space}.{name}, which cannot be put into XFS from outside")
        file = Path(f"/tmp/attribute-{number}-{index}")
        file.write_bytes(value.encode("utf-8", "surrogateescape"))
        lines.append(f"attr_set {NAMESPACES[space]} -V {file} {checked(name, 'the attribute')}")
    return lines


def run(*argv: str, text: str | None = None) -> str:
    done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Failure(f"{argv[0]} failed with exit code {done.returncode}: {done.stdout.strip()[-2000:]}")
    return done.stdout


def change(image: str, lines: list[str]) -> None:
    """Run xfs_db's commands. Only those that write say something: a line for each, and nothing else."""
    output = run("xfs_db", "-x", image, text="".join(f"{line}\n" for line in lines))
    said = [line for line in output.replace("xfs_db> ", "").split("\n") if line]
    wrong = [line for line in said if not re.match(r"core\.(mode|[am]time\.sec) = ", line)]
    if wrong or len(said) != sum(line.startswith("write ") for line in lines):
        raise Failure(f"xfs_db did not do all that was asked: {'; '.join(wrong[:5])}")


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


def build(request: dict[str, str]) -> None:
    image, offset, size = f"{request['disk']}.xfs", int(request["offset"]), int(request["size"])
    tree = Tree(request["tar"])
    Path("/tmp/prototype").write_text(tree.prototype())
    with open(image, "wb") as handle:
        handle.truncate(size)
    try:
        run("mkfs.xfs", "-q", "-K", "-L", request["label"], *FEATURES[:1],
            f"{FEATURES[1]},uuid={request['uuid']}", *FEATURES[2:], "-p", "/tmp/prototype", image)  # fmt: skip
        change(image, tree.changes(int(request["epoch"])))
        run("xfs_repair", "-n", image)
        place(image, request["disk"], offset)
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
