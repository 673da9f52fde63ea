"""Sources that lie in the checkout: files beside a spec, files it names elsewhere, and its folders, each as one tar."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.models import SourcesFile
from photonbuild.errors import SpecError
from photonbuild.files import sha256_of
from photonbuild.sources.inside.govendor import normalise

# What the go tool makes beside the sources of a module; the build gets its own from the lock.
LEFT_OUT = ("vendor",)


@dataclass(frozen=True, kw_only=True)
class LocalSource:
    """`name`: what it is called under SOURCES. `path`: a file, or a folder that is handed over as the tar `name`."""

    name: str
    path: Path

    def digest(self) -> str:
        """Mode and SHA-256 of exactly what `write` writes."""
        with tempfile.TemporaryDirectory(prefix="photonbuild-") as folder:
            target = Path(folder) / self.name
            self.write(target)
            return f"{target.stat().st_mode & 0o777:04o} {sha256_of(target)}"

    def write(self, target: Path) -> None:
        """Copy the file, or pack the folder: owners, times and modes are constants, folders are implied."""
        if self.path.is_file():
            shutil.copyfile(self.path, target)
            target.chmod(0o755 if os.access(self.path, os.X_OK) else 0o644)
            return
        with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
            for name, path in walk(self.path):
                info = normalise(tar.gettarinfo(path.resolve(), arcname=f"{self.path.name}/{name}"))
                info.type, info.linkname = tarfile.REGTYPE, ""
                info.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(info, content)
        target.chmod(0o644)


def local_sources(folder: Path, fetched: SourcesFile) -> tuple[LocalSource, ...]:
    """Everything beside a spec, and the files that its sources.yaml lists as local; sorted, hidden names left out."""
    beside = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".") and p.name != "sources.yaml"]
    return (
        *(LocalSource(name=p.name if p.is_file() else f"{p.name}.tar", path=p) for p in beside),
        *(LocalSource(name=Path(name).name, path=(folder / name).resolve()) for name in fetched.local),
    )


def walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name relative to `folder`, path) of every file below it, sorted by name; symbolic links are followed.

    Raises SpecError for a link that dangles or leads outside the folder's grandparent (``specs/``) or to a folder above
    itself: what goes into a package has to be in the checkout, once.
    """
    yield from _walk(folder, "", folder.parent.parent.resolve())


def _walk(folder: Path, prefix: str, limit: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or (not prefix and path.name in LEFT_OUT):
            continue
        if path.is_symlink():
            _check_link(path, limit)
        if path.is_dir():
            yield from _walk(path, f"{prefix}{path.name}/", limit)
        elif path.is_file():
            yield f"{prefix}{path.name}", path
        else:
            raise SpecError("neither a file nor a folder", where=str(path))


def _check_link(path: Path, limit: Path) -> None:
    real = path.resolve()
    if not real.exists():
        raise SpecError(f"symbolic link to nothing: {os.readlink(path)}", where=str(path))
    if not real.is_relative_to(limit):
        raise SpecError(f"symbolic link to a place outside {limit.name}/: {os.readlink(path)}", where=str(path))
    if path.parent.resolve().is_relative_to(real):
        raise SpecError("symbolic link to a folder that holds it", where=str(path))
