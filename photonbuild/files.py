"""Files that more than one process writes and reads: JSON that appears by rename, digests, copies, locks, the disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEAL = "seal"
FICLONE = 0x40049409  # see ioctl_ficlone(2)
RENAME_EXCHANGE = 2
CANNOT_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a file by rename. When it cannot be written, what was there stays.

    With `durable` it is on the disk before it has its name.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        if durable:
            sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Write JSON as `write_text` does: sorted keys, one trailing newline."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n", durable=durable)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """The value with its own digest in it, so that `read_sealed` knows when it is no longer what was written."""
    plain = {name: part for name, part in value.items() if name != SEAL}
    return {**plain, SEAL: hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()}


def read_sealed(path: Path) -> dict[str, Any] | None:
    """What was sealed and written here; None where nothing is, or where it is cut off or altered.

    What has no seal is of an older version of this program: it is taken if it is a mapping at all.
    """
    try:
        value = read_json(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(value, dict) or (SEAL in value and value != sealed(value)):
        return None
    return {name: part for name, part in value.items() if name != SEAL}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    return _digest_of(path, "sha256")


def sha1_of(path: Path) -> str:
    """For services that name files so; never to trust one."""
    return _digest_of(path, "sha1")


def sha512_of(path: Path) -> str:
    """SHA-512 of a file's content, in hexadecimal digits."""
    return _digest_of(path, "sha512")


def _digest_of(path: Path, algorithm: str) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()


def copy_file(source: Path, target: Path) -> None:
    """A new file with the content and the modification time of another: a clone of it where the file system has
    clones, else a copy that leaves out its holes."""
    with source.open("rb") as old, target.open("xb") as new:
        try:
            fcntl.ioctl(new, FICLONE, old.fileno())
        except OSError as exc:
            if exc.errno not in CANNOT_CLONE:
                raise
            _copy_data(old.fileno(), new.fileno())
        stat = os.fstat(old.fileno())
        os.utime(new.fileno(), ns=(stat.st_mtime_ns, stat.st_mtime_ns))


def _copy_data(old: int, new: int) -> None:
    size, position = os.fstat(old).st_size, 0
    os.ftruncate(new, size)
    while position < size:
        try:
            start = os.lseek(old, position, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno != errno.ENXIO:
                raise
            return
        position, end = os.lseek(new, start, os.SEEK_SET), os.lseek(old, start, os.SEEK_HOLE)
        while position < end and (count := os.sendfile(new, old, position, end - position)):
            position += count


def exchange(one: Path, other: Path) -> None:
    """Let two folders of one file system change places, both or none; see renameat2(2)."""
    _libc("renameat2", -100, os.fsencode(one), -100, os.fsencode(other), RENAME_EXCHANGE)


def sync(path: Path) -> None:
    """Bring a file, or everything on the file system of a folder, to the disk. See fsync(2), syncfs(2)."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if path.is_dir():
            _syncfs(handle)
        else:
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _syncfs(handle: int) -> None:
    _libc("syncfs", handle)


def _libc(name: str, *arguments: int | bytes) -> None:
    import ctypes  # takes time that not every program here has

    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True, shared: bool = False) -> Iterator[bool]:
    """Hold the lock file `path`, made where missing; without `wait` give False at once when another holds it.

    A `shared` lock is held by any number, or by one that is not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
