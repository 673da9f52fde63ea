"""A publication in a folder of this machine."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import StoreError
from photonbuild.files import copy_file, exchange, locked, sha256_of, sync, sync_folder
from photonbuild.storage.interface import LOCK

# What a file system says that cannot exchange two names.
CANNOT_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Folder:
    """Files below `root`; it is made where it is missing."""

    root: Path

    @property
    def where(self) -> str:
        return str(self.root)

    def read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def get(self, path: str, target: Path, size: int | None = None) -> bool:
        try:
            copy_file(self.root / path, target)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def sizes(self, prefix: str) -> Mapping[str, int]:
        found = {}
        for top, _folders, names in os.walk(self.root / prefix):
            for name in names:
                path = Path(top, name)
                with contextlib.suppress(FileNotFoundError):
                    found[path.relative_to(self.root).as_posix()] = path.stat().st_size
        return dict(sorted(found.items()))

    def digests(self, paths: Collection[str]) -> Mapping[str, str]:
        return {path: sha256_of(self.root / path) for path in paths if (self.root / path).is_file()}

    def put(self, tree: Path, paths: Iterable[str]) -> None:
        for path in paths:
            with self._new(path) as temporary:
                copy_file(tree / path, temporary)

    def copy(self, pairs: Mapping[str, str]) -> None:
        for new, old in pairs.items():
            with self._new(new) as temporary:
                try:
                    os.link(self.root / old, temporary)
                except OSError as error:
                    if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                        raise
                    copy_file(self.root / old, temporary)

    def write(self, path: str, data: bytes) -> None:
        with self._new(path) as temporary:
            temporary.write_bytes(data)

    def replace(self, files: Mapping[str, bytes]) -> None:
        (name,) = {str(Path(path).parent) for path in files}
        folder = self.root / name
        staged = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(staged, ignore_errors=True)
        # What the files list is on the disk before they are seen.
        sync(self.root)
        staged.mkdir(parents=True)
        for old in folder.iterdir() if folder.is_dir() else ():
            if f"{name}/{old.name}" not in files and not old.name.startswith("."):
                os.link(old, staged / old.name)
        for path, data in files.items():
            (staged / Path(path).name).write_bytes(data)
        sync(staged)
        try:
            if folder.is_dir():
                exchange(staged, folder)
            else:
                os.rename(staged, folder)
        except OSError as error:
            if error.errno not in CANNOT_EXCHANGE:
                raise
            for path in files:
                os.replace(staged / Path(path).name, self.root / path)
        sync_folder(folder.parent)
        shutil.rmtree(staged, ignore_errors=True)

    def remove(self, paths: Collection[str]) -> None:
        for path in paths:
            (self.root / path).unlink(missing_ok=True)
            parent = (self.root / path).parent
            with contextlib.suppress(OSError):  # it is not empty
                while parent != self.root:
                    parent.rmdir()
                    parent = parent.parent

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot publish here: {error.strerror}", where=self.where) from None
        with locked(self.root / LOCK, wait=False) as mine:
            if not mine:
                raise busy(self.where)
            yield

    @contextlib.contextmanager
    def _new(self, path: str) -> Iterator[Path]:
        """Where a file is made, in its folder; then it has its name. `replace` sees to it that it is on the disk."""
        final = self.root / path
        temporary = final.with_name(f".{final.name}.new")
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, final)
        temporary.unlink(missing_ok=True)  # rename(2) of two links of one file leaves both


def busy(where: str, detail: str | None = None) -> StoreError:
    """The error of a second publisher."""
    return StoreError(
        "another publisher is at work here", where=where, detail=detail, hint="run this again when it has ended"
    )
