"""A foreign tree of specs: what is in it, by content. Several specs may lie in one folder, at any depth.

Nothing of it is run or believed here: files are looked at without following links, and only regular ones are read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import SpecError

SUFFIX = ".spec"
MOST_FILES = 500_000
# What rpm reads at once; of what is larger the size and the time stand for the content.
LARGEST = 8 << 20
UP = b".."


@dataclass(frozen=True, kw_only=True)
class TreeFile:
    """A spec of the tree: its path in it, and the digest of all that can decide on what rpm reads there."""

    path: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class _Folder:
    """A folder: the digest of its files that are no specs, and each spec by name with its digest and "does it name
    what is above it?"."""

    beside: str
    specs: Mapping[str, tuple[str, bool]]


def survey(tree: Path) -> tuple[TreeFile, ...]:
    """Every spec below the folder, sorted by path. Raises SpecError when there is none, or no folder.

    A spec depends on itself, on what lies beside it, and on files in folders that have no spec; one whose text has
    ``..`` in it, or that lies beside links, may read what is elsewhere in the tree, and depends on all of it.
    """
    folders = _folders(tree)
    common = _digest({name: found.beside for name, found in folders.items() if not found.specs})
    everything = _digest(
        {
            name: _digest({"": found.beside, **{n: d for n, (d, _) in found.specs.items()}})
            for name, found in folders.items()
        }
    )
    files = []
    for folder, found in folders.items():
        for name, (digest, reaches_out) in found.specs.items():
            path = f"{folder}/{name}" if folder else name
            around = everything if reaches_out else f"{found.beside} {common}"
            files.append(TreeFile(path=path, digest=hashlib.sha256(f"{path}\n{digest} {around}".encode()).hexdigest()))
    if not files:
        raise SpecError(f"there is no {SUFFIX} file in this tree", where=str(tree))
    return tuple(sorted(files, key=lambda file: file.path))


def _folders(tree: Path) -> dict[str, _Folder]:
    """Each folder by its path in the tree."""
    found: dict[str, _Folder] = {}
    todo, count = [""], 0
    while todo:
        inside = todo.pop()
        beside: dict[str, str] = {}
        specs: dict[str, bytes] = {}
        linked = False
        for entry in _entries(tree, inside):
            count += 1
            if count > MOST_FILES:
                raise SpecError(f"more than {MOST_FILES} files are in this tree", where=str(tree))
            if entry.is_dir(follow_symlinks=False):
                # What a version control system keeps for itself.
                if not entry.name.startswith("."):
                    todo.append(f"{inside}/{entry.name}" if inside else entry.name)
            elif entry.is_symlink():
                linked = True
                beside[entry.name] = f"-> {os.readlink(entry.path)}"
            elif entry.is_file(follow_symlinks=False):
                content = _content(entry.path)
                if entry.name.endswith(SUFFIX):
                    specs[entry.name] = content
                else:
                    beside[entry.name] = hashlib.sha256(content).hexdigest()
        rows = {name: (hashlib.sha256(text).hexdigest(), linked or UP in text) for name, text in specs.items()}
        # A spec may include the one beside it.
        around = _digest({**beside, **{name: digest for name, (digest, _) in rows.items()}})
        found[inside] = _Folder(beside=around, specs=rows)
    return found


def _entries(tree: Path, inside: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(tree / inside) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if not inside or error.errno not in (errno.EACCES, errno.EPERM, errno.ENOENT):
            raise SpecError(f"this folder cannot be read: {error.strerror}", where=str(tree / inside)) from None
        return []


def _content(path: str) -> bytes:
    """What a regular file holds; of a large one that it is another one; of one that cannot be read that."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"cannot be read: {error.strerror}".encode()
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
            return f"{facts.st_mode} {facts.st_size} {facts.st_mtime_ns}".encode()
        content = os.read(handle, facts.st_size + 1)
        while more := os.read(handle, LARGEST) if len(content) > facts.st_size else b"":
            content += more
        return content
    finally:
        os.close(handle)


def _digest(rows: Mapping[str, str]) -> str:
    text = "\n".join(f"{name!r} {value}" for name, value in sorted(rows.items()))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
