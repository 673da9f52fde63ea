"""A tree of files as one digest and as one archive. The standard library only: what builds the wheel uses it, too."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

LEFT_OUT = (".git", "__pycache__")


class TreeError(Exception):
    """A tree that is not taken; the text says why."""


def tree_digest(root: Path) -> str:
    """SHA-256 over path, kind, whether it is a program, and content of every file below `root`. Owners and times are
    not in it. Raises TreeError for what is no file, folder or link within the tree."""
    rows = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for path in (Path(folder, name) for name in (*folders, *names)):
            if (row := _row(root, path)) is not None:
                rows.append([path.relative_to(root).as_posix(), *row])
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def _row(root: Path, path: Path) -> tuple[str, str] | None:
    if path.is_symlink():
        target = os.readlink(path)
        leads = Path(os.path.normpath(path.parent / target))
        if os.path.isabs(target) or not leads.is_relative_to(root) or not path.resolve().is_relative_to(root.resolve()):
            raise TreeError(f"{path.relative_to(root)} is a link to a place outside: {target}")
        return "link", target
    if path.is_dir():
        return None
    if not path.is_file():
        raise TreeError(f"{path.relative_to(root)} is neither a file nor a folder")
    with path.open("rb") as file:
        return ("program" if path.stat().st_mode & 0o100 else "file"), hashlib.file_digest(file, "sha256").hexdigest()


def write_archive(root: Path, names: Iterable[str], target: Path) -> None:
    """A tar with these files of `root`, links followed; the same bytes for the same files."""
    with tarfile.open(target, "w:xz", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(names):
            path = root / name
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o755 if path.stat().st_mode & 0o100 else 0o644
            with path.open("rb") as content:
                tar.addfile(info, content)


def unpack(archive: Path, target: Path) -> None:
    """The files of an archive that `write_archive` made, into a new folder. Raises TreeError for anything else."""
    with tarfile.open(archive) as tar:
        for info in tar:
            path, content = Path(os.path.normpath(target / info.name)), tar.extractfile(info)
            if not info.isreg() or content is None or not path.is_relative_to(target):
                raise TreeError(f"{archive.name} holds {info.name}, which does not belong there")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                shutil.copyfileobj(content, file)
            path.chmod(0o755 if info.mode & 0o100 else 0o644)
