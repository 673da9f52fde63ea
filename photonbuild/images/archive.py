"""Tar archives: reproducible ones, and single files out of a root's."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from photonbuild.errors import ImageError


def pack(target: Path, members: Mapping[str, Path], epoch: int) -> None:
    """A ustar archive of files by name, in the order given, with constant owners, modes and times."""
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in members.items():
            add_member(tar, name, path, epoch)


def add_member(tar: tarfile.TarFile, name: str, path: Path, epoch: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = path.stat().st_size, epoch, 0o644
    with path.open("rb") as content:
        tar.addfile(info, content)


def extract_file(tar: Path, name: str, target: Path) -> None:
    """Copy one regular file out of a root's tar. Raises ImageError when it is not there."""
    wanted = PurePosixPath(name.lstrip("/"))
    with tarfile.open(tar) as archive:
        for member in archive:
            if PurePosixPath(member.name) == wanted and member.isreg():
                content = archive.extractfile(member)
                assert content is not None
                target.write_bytes(content.read())
                return
    raise ImageError("not in the packages of the profile", where=f"/{wanted}")
