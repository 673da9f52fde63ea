"""Sources that lie in the checkout: files beside a spec, files it names elsewhere, and folders, each as one tar."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild import pack
from photonbuild.config.sources import LocalTar, SourcesFile
from photonbuild.errors import SpecError
from photonbuild.files import sha256_of
from photonbuild.roots import Roots
from photonbuild.sources.specfile import CHANGELOG, built_text


@dataclass(frozen=True, kw_only=True)
class LocalSource:
    """`name`: what it is called under SOURCES. `path`: a file, or a folder of which `parts` become the tar `name`.

    With `text` that is what the file holds, whatever lies at `path`: a spec as it is built, see `specfile`.

    Nothing outside the checkout `root` is read: every method raises SpecError for a symbolic link that leads there.
    """

    name: str
    path: Path
    root: Path
    parts: Sequence[str] = ()
    text: str | None = None

    def members(self) -> list[pack.Member]:
        """(name in the folder, path) of each file of the tar. A part that holds none raises SpecError."""
        try:
            found = list(pack.members(self.path, self.parts, self.root))
        except pack.PackError as error:
            raise self._error(error) from None
        for part in self.parts:
            if not any(pack.within(name, part) for name, _ in found):
                raise SpecError(f"nothing to pack into {self.name}", where=self._where(self.path / part))
        return found

    def digest(self) -> str:
        """Mode and SHA-256 of exactly what `write` writes."""
        if self.text is not None:
            return f"{pack.mode_of(self._file()):04o} {hashlib.sha256(self.text.encode()).hexdigest()}"
        if not self.path.is_dir():
            return f"{pack.mode_of(self._file()):04o} {sha256_of(self.path)}"
        with tempfile.NamedTemporaryFile(prefix="photonbuild-") as file:
            self.write(Path(file.name))
            return f"{pack.FILE_MODE:04o} {sha256_of(Path(file.name))}"

    def write(self, target: Path) -> None:
        """Copy the file, or pack the folder."""
        if self.path.is_dir():
            pack.write_tar(self.members(), self.name.removesuffix(".tar"), target)
            target.chmod(pack.FILE_MODE)
        elif self.text is not None:
            target.write_text(self.text, encoding="utf-8")
            target.chmod(pack.mode_of(self._file()))
        else:
            shutil.copyfile(self._file(), target)
            target.chmod(pack.mode_of(self.path))

    def _file(self) -> Path:
        try:
            pack.check_link(self.path, self.root)
        except pack.PackError as error:
            raise self._error(error) from None
        if not self.path.is_file():
            raise self._error(pack.PackError("neither a file nor a folder", self.path))
        return self.path

    def _error(self, error: pack.PackError) -> SpecError:
        return SpecError(str(error), where=self._where(error.path))

    def _where(self, path: Path) -> str:
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def local_sources(
    folder: Path, fetched: SourcesFile, *, rebuild: int = 0, roots: Roots | None = None
) -> tuple[LocalSource, ...]:
    """Every file beside a spec, sorted, hidden names left out; then what its sources.yaml lists as local.

    `folder` is ``specs/NAME`` of one of `roots`, by default of the only one. The spec is the one that is built: with
    its changelog, and with `rebuild` in its release. Raises SpecError for a folder beside the spec that is not listed.
    """
    roots = roots or Roots.around(folder)
    apart = ("sources.yaml", CHANGELOG)
    beside = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".") and p.name not in apart]
    packed = [os.path.normpath(item.folder) for item in fetched.local if isinstance(item, LocalTar)]
    for path in beside:
        if path.is_dir() and path.name not in packed:
            raise SpecError(
                f"a folder beside the spec of {folder.name}",
                where=roots.where(path),
                hint=f"list it in sources.yaml: local: [{{tar: {path.name}.tar, folder: {path.name}}}]",
            )
    root = folder.parent.parent.absolute()
    built = {f"{folder.name}.spec": built_text(folder, rebuild, where=roots.where(folder))}
    files = [
        LocalSource(name=path.name, path=path, root=root, text=built.get(path.name))
        for path in beside
        if not path.is_dir()
    ]
    return (*files, *(_listed(folder, item, roots) for item in fetched.local))


def local_tar(folder: Path, fetched: SourcesFile, name: str, roots: Roots | None = None) -> LocalSource:
    """The folder that `fetched` packs as the tar `name`, which it must list."""
    (item,) = (item for item in fetched.local if isinstance(item, LocalTar) and item.tar == name)
    return _listed(folder, item, roots or Roots.around(folder))


def _listed(folder: Path, item: str | LocalTar, roots: Roots) -> LocalSource:
    if isinstance(item, LocalTar):
        path, root = roots.beside(folder, item.folder)
        return LocalSource(name=item.tar, path=path, root=root, parts=item.parts)
    path, root = roots.beside(folder, item)
    return LocalSource(name=Path(item).name, path=path, root=root)
