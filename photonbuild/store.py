"""The store: content-addressed entries that appear by rename, locks between processes, and leftovers swept away.

sources/SHA512   debs/SHA256   seeds/IDS/DIGEST/   specs/KEY.json   packages/NAME/KEY/   images/NAME/KEY/
entries/KIND/NAME/KEY.json   shared/SIGNER/FORM/NAME/KEY/ (what came from shared caches)
failed/NAME/ (build root of the last failure)   tmp/ (work in progress)   mnt (mount point of sandboxes)
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild import contents
from photonbuild.errors import StoreError
from photonbuild.files import locked, sync, sync_folder
from photonbuild.sandbox.ids import owner_of_files
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.uses import Uses

WORK = ("tmp", "locks", "mnt", "logs")
SHARED = ("entries", "shared")
FOLDERS = (
    "upstream",
    "sources",
    "debs",
    "seeds",
    "specs",
    "packages",
    "signed",
    "images",
    "failed",
    "entries",
    "shared",
    *WORK,
)
LEAST_FREE = 2 << 30
FULL = 1 << 20
# In the folder of work in progress, a link to a folder elsewhere that belongs to it.
ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Store:
    """A directory outside the checkout that any number of builds share. `warn` is told of damage that was mended."""

    root: Path
    warn: Callable[[str], None] = field(default=lambda text: None, compare=False)
    uses: Uses = field(default_factory=Uses, compare=False, repr=False)

    @classmethod
    def open(cls, root: Path, warn: Callable[[str], None] = lambda text: None) -> Store:
        """Make the folders where missing, and sweep. Raises StoreError when the place is not writable."""
        try:
            for name in FOLDERS:
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreError(
                f"cannot use the store: {exc.strerror}", where=str(root), hint="set PHOTONBUILD_STORE to another folder"
            ) from exc
        store = cls(root, warn)
        store.sweep()
        return store

    def need_room(self) -> None:
        """Before work that writes much. Raises StoreError when the place is nearly full."""
        free = shutil.disk_usage(self.root).free
        if free < LEAST_FREE:
            raise StoreError(
                f"only {free >> 20} MiB are free",
                where=str(self.root),
                hint="photonbuild gc frees some; or set PHOTONBUILD_STORE to a larger file system",
            )

    def check_full(self, text: str, *places: Path) -> None:
        """After another program has failed. Raises StoreError when one of these places is full, the store among them,
        or when its output `text` says so of a disk."""
        for place in (self.root, *places):
            if is_full(place):
                raise no_space(place)
        if os.strerror(errno.ENOSPC) in text:
            raise no_space(self.root)

    @property
    def scratch(self) -> Path:
        """The mount point that sandboxes use in their private mount namespace."""
        return self.root / "mnt"

    @property
    def seeds(self) -> Path:
        """Frozen seeds. Their files belong to the ids of sandboxes here, so that other ids need other copies."""
        return self.root / "seeds" / owner_of_files()

    def package(self, name: str, key: str) -> Path:
        return self.root / "packages" / name / key

    def image(self, name: str, key: str) -> Path:
        return self.root / "images" / name / key

    def failed(self, name: str) -> Path:
        """What the last failed build of a spec has left, in its folder build/."""
        return self.root / "failed" / name

    def use(self, entry: Path) -> Path:
        """Keep an entry, there or not yet, from being collected while this process lives; it is used now."""
        if self.uses.add(self.root, entry.relative_to(self.root)):
            file = record_of(entry)
            with contextlib.suppress(OSError):
                os.utime(file, ns=(time.time_ns(), file.stat().st_mtime_ns))
        return entry

    def is_intact(self, entry: Path, *, quiet: bool = False) -> bool:
        """Is the folder what was published? Each is looked at once by a process."""
        if entry in self.uses.intact:
            return True
        if wrong := contents.damage(entry):
            if not quiet:
                self.warn(f"{entry.relative_to(self.root)} in the store is damaged: {wrong}; it is made again")
            return False
        self.uses.intact.add(entry)
        return True

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A new folder for work in progress. It is gone afterwards unless `publish` has moved it away."""
        folder, handle = self._claim()
        try:
            folder.mkdir()
            folder.chmod(0o755)
            yield folder
        finally:
            self._clear(folder)
            _marker(folder).unlink(missing_ok=True)
            os.close(handle)

    def _claim(self) -> tuple[Path, int]:
        """A name in tmp/ whose lock file is locked: a folder of that name is nobody else's, and nobody sweeps it."""
        while True:
            folder = self.root / "tmp" / f"work-{secrets.token_hex(6)}"
            handle = os.open(_marker(folder), os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
            # A sweep that was faster has removed the file.
            if _is_file(handle, _marker(folder)):
                return folder, handle
            os.close(handle)

    def publish(self, staged: Path, final: Path) -> None:
        """Give finished work its name, after it is on the disk. When another build was first, its result stays."""
        if staged.is_dir():
            contents.record(staged, None if contents.list_of(final).parent == final else final)
        sync(staged)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(staged, final)
        except OSError:
            if not final.exists():
                raise
            self.remove(staged)
        sync_folder(final.parent)

    def discard(self, entry: Path) -> None:
        """Remove an entry: it is gone at once, and its files when the process has time or at the next start."""
        with self.staging() as work, contextlib.suppress(FileNotFoundError):
            os.rename(entry, work / "discarded")
        self.uses.intact.discard(entry)

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Held by one process (and thread) at a time; waits for it, or without `wait` gives False when it is held."""
        with locked(self.root / "locks" / name, wait=wait) as mine:
            yield mine

    def sweep(self) -> None:
        """Remove the work in progress of builds that were killed, and what they said to be in use."""
        for marker in sorted((self.root / "tmp").glob("w*.lock")):
            with contextlib.suppress(OSError):
                self._sweep(marker)
        for folder in sorted((self.root / "tmp").glob("work-*[!k]")):
            # A lock file comes first and goes last: without one, a power loss has taken it.
            if not _marker(folder).exists():
                with contextlib.suppress(OSError):
                    self._clear(folder)
        self.uses.sweep(self.root)

    def _sweep(self, marker: Path) -> None:
        handle = os.open(marker, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_file(handle, marker):
                self._clear(marker.with_suffix(""))
                marker.unlink(missing_ok=True)
        finally:
            os.close(handle)

    def _clear(self, folder: Path) -> None:
        elsewhere = folder / ELSEWHERE
        if elsewhere.is_symlink():
            self.remove(elsewhere.readlink())
        self.remove(folder)

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
                with contextlib.suppress(FileExistsError):
                    (skeleton / name).symlink_to(os.readlink(source))
            elif source.is_dir() and not source.is_symlink():
                binds.append(Bind(source, f"/{name}"))
        binds += [Bind(path, str(path.absolute()), readonly=False, links=True) for path in writable]
        return Sandbox(layers=[skeleton], scratch=self.scratch, binds=binds)


def record_of(entry: Path) -> Path:
    """The file of an entry whose access time is its last use: looking through the folder does not change it."""
    for name in ("build.json", "result.json"):
        if (entry / name).is_file():
            return entry / name
    beside = entry.with_name(f"{entry.name}.elf")
    return beside if beside.is_file() else entry


def last_use(entry: Path) -> float:
    """Seconds since 1970; that of what is not there is 0."""
    with contextlib.suppress(FileNotFoundError):
        facts = record_of(entry).stat()
        # What nobody has used since it was made is as old as it is.
        return max(facts.st_atime, facts.st_mtime) if stat.S_ISREG(facts.st_mode) else facts.st_mtime
    return 0.0


def is_full(place: Path) -> bool:
    """Is there no room worth speaking of, as when something has just failed for lack of it?"""
    return shutil.disk_usage(place).free < FULL


def no_space(place: Path | str | None) -> StoreError:
    """A full disk, wherever it was met."""
    hint = "free some space there and run the same command again: what was built is kept"
    return StoreError("no space left", where=str(place) if place else None, hint=hint)


def _marker(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _is_file(handle: int, path: Path) -> bool:
    """Is the open file still the one of that name?"""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False
