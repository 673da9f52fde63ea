"""Merge trees into one as an overlay would show them, by hard links. Standard library only.

    merge.py OUT < JSON list of folders, the uppermost first

OUT must not exist and must be on the file system of the folders. Where two have something of the same name the upper
one's is taken, unless both are folders, which are merged; a merged folder's owner, mode and times are the upper one's.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys

# Too many links of a file, or a file system that makes none: a copy is as good.
COPIED = (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP)


def merge(folders: list[str], out: str) -> None:
    """Not recursive: a package may be as deep as paths go. Folders get their modes and times when they are filled."""
    todo = [(folders, out)]
    made = []
    while todo:
        sources, target = todo.pop()
        os.mkdir(target, 0o700)
        made.append((sources[0], target))
        for name, places in entries(sources).items():
            if os.path.isdir(places[0]) and not os.path.islink(places[0]):
                todo.append((places, f"{target}/{name}"))
            else:
                link(places[0], f"{target}/{name}")
    for source, target in reversed(made):
        attributes(source, target)


def entries(sources: list[str]) -> dict[str, list[str]]:
    """Each name with the places that show through: the first, and folders below it as long as they are some."""
    found: dict[str, list[str]] = {}
    closed = set()
    for source in sources:
        with os.scandir(source) as listing:
            for entry in listing:
                folder = entry.is_dir(follow_symlinks=False)
                if entry.name not in found:
                    found[entry.name] = [entry.path]
                elif folder and entry.name not in closed:
                    found[entry.name].append(entry.path)
                if not folder:
                    closed.add(entry.name)
    return found


def link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as exc:
        if exc.errno not in COPIED:
            raise
        shutil.copy2(source, target, follow_symlinks=False)
        owner = os.lstat(source)
        os.chown(target, owner.st_uid, owner.st_gid, follow_symlinks=False)


def attributes(source: str, target: str) -> None:
    owner = os.lstat(source)
    os.chown(target, owner.st_uid, owner.st_gid)
    shutil.copystat(source, target)


if __name__ == "__main__":
    merge(json.load(sys.stdin), sys.argv[1])
