"""The store: content-addressed entries that appear by rename, locks between processes, and leftovers swept away.

sources/SHA512   debs/SHA256   seeds/DIGEST/   specs/KEY.json   packages/NAME/KEY/   images/NAME/KEY/
failed/NAME/ (build root of the last failure)   tmp/ (work in progress)   mnt (mount point of sandboxes)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import StoreError
from photonbuild.files import locked
from photonbuild.sandbox.sandbox import Bind, Sandbox

FOLDERS = ("sources", "debs", "seeds", "specs", "packages", "images", "failed", "tmp", "locks", "mnt", "logs")
LEAST_FREE = 2 << 30
FORBIDDEN = ",:\\"


@dataclass(frozen=True)
class Store:
    """A directory outside the checkout that any number of builds share."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> Store:
        """Make the folders where missing. Raises StoreError when the place is not writable or nearly full, or when its
        path has a character that separates options of mount(8) and of QEMU."""
        if any(character in str(root.absolute()) for character in FORBIDDEN):
            raise StoreError(
                "the store's path may hold no comma, colon or backslash",
                where=str(root),
                hint="set PHOTONBUILD_STORE to another folder",
            )
        try:
            for name in FOLDERS:
                (root / name).mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(root).free
        except OSError as exc:
            raise StoreError(
                f"cannot use the store: {exc.strerror}", where=str(root), hint="set PHOTONBUILD_STORE to another folder"
            ) from exc
        if free < LEAST_FREE:
            raise StoreError(
                f"only {free >> 20} MiB are free",
                where=str(root),
                hint="free some space, or set PHOTONBUILD_STORE to a larger file system",
            )
        store = cls(root)
        store.sweep()
        return store

    @property
    def scratch(self) -> Path:
        """The mount point that sandboxes use in their private mount namespace."""
        return self.root / "mnt"

    def package(self, name: str, key: str) -> Path:
        return self.root / "packages" / name / key

    def image(self, name: str, key: str) -> Path:
        return self.root / "images" / name / key

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A new folder for work in progress. It is gone afterwards unless `publish` has moved it away."""
        folder = Path(tempfile.mkdtemp(prefix="w-", dir=self.root / "tmp"))
        folder.chmod(0o755)
        handle = os.open(f"{folder}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield folder
        finally:
            self.remove(folder)
            os.unlink(f"{folder}.lock")
            os.close(handle)

    def publish(self, staged: Path, final: Path) -> None:
        """Give finished work its name. When another build was first with the same name, its result stays."""
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(staged, final)
        except OSError:
            if not final.exists():
                raise
            self.remove(staged)

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Held by one process (and thread) at a time; waits for it, or without `wait` gives False when it is held."""
        with locked(self.root / "locks" / name, wait=wait) as mine:
            yield mine

    def sweep(self) -> None:
        """Remove the work in progress of builds that were killed."""
        for marker in sorted((self.root / "tmp").glob("w-*.lock")):
            with contextlib.suppress(OSError):
                handle = os.open(marker, os.O_RDWR)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self.remove(marker.with_suffix(""))
                    marker.unlink(missing_ok=True)
                finally:
                    os.close(handle)

    def remove(self, path: Path) -> None:
        """Remove a file or tree, also one whose files belong to sub-ids of the user."""
        if path.is_dir() and not path.is_symlink():
            if os.geteuid() == 0:
                shutil.rmtree(path, ignore_errors=False)
            else:
                self.host_sandbox(path.parent).run(["rm", "-rf", "--", str(path)], error=StoreError)
        else:
            path.unlink(missing_ok=True)

    def host_sandbox(self, *writable: Path) -> Sandbox:
        """The host's own programs (its /usr) in a root that is otherwise empty, with some folders really writable."""
        skeleton = self.root / "skeleton"
        skeleton.mkdir(exist_ok=True)
        binds = [Bind(Path("/usr"), "/usr")]
        for name in ("bin", "sbin", "lib", "lib64"):
            source = Path("/", name)
            if source.is_symlink() and not (skeleton / name).is_symlink():
                (skeleton / name).symlink_to(os.readlink(source))
            elif source.is_dir() and not source.is_symlink():
                binds.append(Bind(source, f"/{name}"))
        binds += [Bind(path, str(path.absolute()), readonly=False) for path in writable]
        return Sandbox(layers=[skeleton], scratch=self.scratch, binds=binds)
