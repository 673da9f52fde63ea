"""What of a folder goes into its archive, and the archive's bytes.

It knows nothing of specs. Every package's key holds the digests of the very archives that are made here.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

MTIME = 1767225600
FILE_MODE, PROGRAM_MODE = 0o644, 0o755
# A test that changes must not build the package again: this repository's own test tiers run them.
TESTS = ("*_test.go", "test_*.c", "test_*.py", "test.mk", "testdata")
# What the go tool makes beside the sources of a module; the build gets its own from the lock.
MADE = ("vendor",)

Member = tuple[str, Path]


class PackError(Exception):
    """`path` cannot be packed; the text says why."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


def members(folder: Path, parts: Sequence[str], limit: Path) -> Iterator[Member]:
    """(name relative to `folder`, path) of every file that is one of `parts` or below one of them; all without parts.

    In the order of the archive: each folder's entries sorted by name. Hidden names, tests and what the go tool makes
    are left out. Symbolic links are followed; raises PackError for one that dangles or leads outside `limit` or to a
    folder above itself: what goes into a package has to be in the checkout, once.
    """
    check_link(folder, limit)
    yield from _members(folder, "", parts, limit)


def _members(folder: Path, prefix: str, parts: Sequence[str], limit: Path) -> Iterator[Member]:
    for path in sorted(folder.iterdir()):
        name = f"{prefix}{path.name}"
        if path.name.startswith(".") or name in MADE or is_test(path.name) or not _wanted(name, parts):
            continue
        check_link(path, limit)
        if path.is_dir():
            yield from _members(path, f"{name}/", parts, limit)
        elif not path.is_file():
            raise PackError("neither a file nor a folder", path)
        elif not parts or any(within(name, part) for part in parts):
            yield name, path


def tree(folder: Path) -> Iterator[Member]:
    """(name relative to `folder`, path) of every file below it, sorted by name, whatever it is called.

    Raises PackError for what is neither a file nor a folder: a link is not followed.
    """
    found: list[Member] = []
    for place, folders, names in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *names)):
            kind = path.lstat().st_mode
            if stat.S_ISREG(kind):
                found.append((path.relative_to(folder).as_posix(), path))
            elif not stat.S_ISDIR(kind):
                raise PackError(f"{path.name} is neither a file nor a folder", path)
    yield from sorted(found)


def _wanted(name: str, parts: Sequence[str]) -> bool:
    """Is this one of the parts, below one, or on the way to one?"""
    return not parts or any(within(name, part) or within(part, name) for part in parts)


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}/")


def is_test(name: str) -> bool:
    """Does a file or folder of this name hold tests?"""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in TESTS)


def check_link(path: Path, limit: Path) -> None:
    """Raise PackError unless what `path` stands for, all links followed, is in the folder `limit`."""
    real, limit = path.resolve(), limit.resolve()
    to = f": {os.readlink(path)}" if path.is_symlink() else ""
    if not real.exists():
        raise PackError(f"symbolic link to nothing{to}" if to else "there is no such file", path)
    if not real.is_relative_to(limit):
        raise PackError(f"symbolic link to a place outside {limit.name}/{to}" if to else f"outside {limit.name}/", path)
    if path.is_symlink() and path.parent.resolve().is_relative_to(real):
        raise PackError(f"symbolic link to a folder that holds it{to}", path)


def write_tar(packed: Iterable[Member], top: str, target: Path) -> None:
    """Write a GNU tar of the files, below the folder `top`; owners, times and modes are constants, folders implied."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, path in packed:
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = path.stat().st_size
            info.mode, info.mtime = mode_of(path), MTIME
            with path.open("rb") as content:
                tar.addfile(info, content)


def is_executable(path: Path) -> bool:
    """By its owner, whoever asks."""
    return bool(path.stat().st_mode & 0o100)


def mode_of(path: Path) -> int:
    return PROGRAM_MODE if is_executable(path) else FILE_MODE
