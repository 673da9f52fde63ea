"""Files of a fetched tar, by name: patches of Debian's part of a source package."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from photonbuild.documents import nearest
from photonbuild.errors import SourceError

LARGEST = 64 << 20  # bytes of one member
MOST = 100_000  # members that are read


def extract(archive: Path, members: Sequence[str], folder: Path, *, where: str) -> None:
    """Put these files of the tar into `folder`, each under the last part of its name. Raises SourceError."""
    infos = {info.name.removeprefix("./"): info for info in _files(archive)}
    for member in members:
        if member not in infos:
            raise SourceError(f"the archive has no file '{member}'{nearest(member, infos)}", where=where)
        if infos[member].size > LARGEST:
            raise SourceError(f"'{member}' is larger than {LARGEST} bytes", where=where)
    with tarfile.open(archive) as tar:
        for member in members:
            content = tar.extractfile(infos[member])
            assert content is not None
            target = folder / member.rpartition("/")[2]
            with content, target.open("xb") as handle:
                shutil.copyfileobj(content, handle)
            target.chmod(0o644)


def read_member(archive: Path, member: str) -> str:
    """A member as text, or nothing where there is none such."""
    infos = {info.name.removeprefix("./"): info for info in _files(archive)}
    if member not in infos or infos[member].size > LARGEST:
        return ""
    with tarfile.open(archive) as tar:
        content = tar.extractfile(infos[member])
        return content.read().decode("utf-8", "replace") if content else ""


def _files(archive: Path) -> list[tarfile.TarInfo]:
    found = []
    try:
        with tarfile.open(archive) as tar:
            for number, info in enumerate(tar):
                if number >= MOST:
                    raise SourceError(f"more than {MOST} files in the archive", where=archive.name)
                if info.isreg():
                    found.append(info)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise SourceError(f"no tar that can be read: {error}", where=archive.name) from error
    return found
