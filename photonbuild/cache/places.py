"""Where caches lie, one row for each kind of address: files by their paths, seen whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from photonbuild.cache.manifest import MOST_MANIFEST
from photonbuild.config.cache import UserAddress
from photonbuild.errors import ConfigError, StoreError
from photonbuild.files import copy_file, sync
from photonbuild.remote.endpoint import Endpoint, endpoint, token_of

if TYPE_CHECKING:
    from photonbuild.remote.cache import EnginePlace
    from photonbuild.storage.s3 import S3
    from photonbuild.storage.web import Web

# Seconds: a cache that is slower than that to answer costs more than it saves.
CONNECT, SILENT = 5.0, 20.0
SLOWEST = 64 << 10  # bytes/s
UNFINISHED = ".new-"


class Place(Protocol):
    """A cache as files. Every method raises StoreError or OSError when it cannot be reached."""

    def read(self, path: str) -> bytes | None:
        """A small file; None where there is none."""

    def get(self, path: str, target: Path, size: int) -> bool:
        """Fetch a file of this size; False where there is none. What is larger need not be fetched to its end."""

    def has(self, path: str) -> bool: ...

    def put(self, source: Path, path: str) -> None:
        """Bring a file there, by any number of writers at once; of the same path, the same content."""

    def times(self) -> Mapping[str, tuple[int, float]] | None:
        """Every file with its size and when it was written, in seconds since 1970; None where that cannot be told."""

    def remove(self, paths: Collection[str]) -> None: ...


@dataclass(frozen=True)
class FolderPlace:
    """A folder, of this machine or mounted from another: rename(2) is all that it takes, there are no locks.

    One that is written to is made where it is missing, if the folder that it is in is there.
    """

    root: Path
    make: bool = False

    def read(self, path: str) -> bytes | None:
        self._check()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), (self.root / path).open("rb") as file:
            return file.read(MOST_MANIFEST + 1)
        return None

    def get(self, path: str, target: Path, size: int) -> bool:
        source = self.root / path
        try:
            if source.stat().st_size == size:
                target.unlink(missing_ok=True)
                copy_file(source, target)
            else:
                target.write_bytes(b"")
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def has(self, path: str) -> bool:
        self._check()
        return (self.root / path).is_file()

    def put(self, source: Path, path: str) -> None:
        final = self.root / path
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.with_name(f"{UNFINISHED}{secrets.token_hex(8)}")
        try:
            copy_file(source, temporary)
            temporary.chmod(0o644)
            sync(temporary)
            os.replace(temporary, final)
        finally:
            temporary.unlink(missing_ok=True)

    def times(self) -> Mapping[str, tuple[int, float]]:
        self._check()
        found = {}
        for folder, _folders, names in os.walk(self.root):
            for path in (Path(folder, name) for name in names):
                with contextlib.suppress(FileNotFoundError):
                    facts = path.stat()
                    found[path.relative_to(self.root).as_posix()] = (facts.st_size, facts.st_mtime)
        return found

    def remove(self, paths: Collection[str]) -> None:
        for path in paths:
            (self.root / path).unlink(missing_ok=True)

    def _check(self) -> None:
        if self.make:
            with contextlib.suppress(OSError):
                self.root.mkdir(exist_ok=True)
        if not self.root.is_dir():
            raise OSError(errno.ENOENT, "there is no such folder", str(self.root))


@dataclass(frozen=True)
class WebPlace:
    """A web server; connections are kept, one for each thread."""

    where: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    _threads: threading.local = field(default_factory=threading.local, repr=False, compare=False)

    @property
    def _web(self) -> Web:
        if not hasattr(self._threads, "web"):
            import requests

            from photonbuild.storage.web import Web

            self._threads.web = Web(
                self.where, SILENT, SLOWEST, MOST_MANIFEST, self.headers, requests.Session(), connect=CONNECT
            )
        web: Web = self._threads.web
        return web

    def read(self, path: str) -> bytes | None:
        return self._web.read(path)

    def get(self, path: str, target: Path, size: int) -> bool:
        return self._web.get(path, target, size)

    def has(self, path: str) -> bool:
        return self._web.has(path)

    def put(self, source: Path, path: str) -> None:
        self._web.put(source, path)

    def times(self) -> None:
        return None

    def remove(self, paths: Collection[str]) -> None:
        raise StoreError("a web server is not asked to remove anything", where=self.where)


@dataclass(frozen=True)
class S3Place:
    """S3-compatible storage, with credentials as AWS's own tools take them."""

    bucket: str
    prefix: str
    _opened: list[S3] = field(default_factory=list, repr=False, compare=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def _s3(self) -> S3:
        from photonbuild.storage.s3 import S3

        with self._guard:
            if not self._opened:
                self._opened.append(
                    S3.at(bucket=self.bucket, prefix=self.prefix, connect=CONNECT, silent=SILENT, attempts=2)
                )
        return self._opened[0]

    def read(self, path: str) -> bytes | None:
        return self._s3.read(path, MOST_MANIFEST + 1)

    def get(self, path: str, target: Path, size: int) -> bool:
        return self._s3.get(path, target, size)

    def has(self, path: str) -> bool:
        return self._s3.has(path)

    def put(self, source: Path, path: str) -> None:
        self._s3.put_file(source, path)

    def times(self) -> Mapping[str, tuple[int, float]]:
        return self._s3.times("")

    def remove(self, paths: Collection[str]) -> None:
        self._s3.remove(paths)


@dataclass(frozen=True)
class EngineStorage:
    """The storage of an engine of the Remote Execution API: its action cache has the paths, its CAS the content."""

    endpoint: Endpoint
    _opened: list[EnginePlace] = field(default_factory=list, repr=False, compare=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def _place(self) -> EnginePlace:
        from photonbuild.remote.cache import open_storage

        with self._guard:
            if not self._opened:
                self._opened.append(open_storage(self.endpoint, MOST_MANIFEST))
        return self._opened[0]

    def read(self, path: str) -> bytes | None:
        return self._place.read(path)

    def get(self, path: str, target: Path, size: int) -> bool:
        return self._place.get(path, target, size)

    def has(self, path: str) -> bool:
        return self._place.has(path)

    def put(self, source: Path, path: str) -> None:
        self._place.put(source, path)

    def times(self) -> None:
        return None

    def remove(self, paths: Collection[str]) -> None:
        raise StoreError("an engine's storage removes by itself what it has no room for", where=self.endpoint.address)


def _web(address: UserAddress) -> Place:
    headers = {}
    if address.token_file is not None:
        headers["Authorization"] = f"Bearer {token_of(Path(address.token_file))}"
    return WebPlace(str(address.url), headers)


def _s3(address: UserAddress) -> Place:
    parts = urlsplit(str(address.url))
    return S3Place(parts.netloc, parts.path.strip("/"))


def _engine(address: UserAddress) -> Place:
    files = {
        name: None if file is None else Path(file).expanduser()
        for name, file in (
            ("authority", address.authority),
            ("certificate", address.certificate),
            ("key", address.certificate_key),
            ("token_file", address.token_file),
        )
    }
    return EngineStorage(endpoint(str(address.url), **files))


OPENERS: Mapping[str, Callable[[UserAddress], Place]] = {
    "https": _web,
    "http": _web,
    "s3": _s3,
    "grpcs": _engine,
    "grpc": _engine,
}


def open_place(address: UserAddress, root: Path) -> Place:
    """The place of a cache; nothing is asked of it yet. A relative folder begins in `root`. Raises ConfigError."""
    if address.path is not None:
        return FolderPlace(root / Path(address.path).expanduser(), address.access == "write")
    scheme = urlsplit(str(address.url)).scheme
    if scheme not in OPENERS:
        known = ", ".join(f"{name}://" for name in OPENERS)
        raise ConfigError(f"the cache {address.name}: {scheme}:// is not spoken here", hint=f"a folder, {known}")
    return OPENERS[scheme](address)
