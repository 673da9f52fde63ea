"""Files by path in an engine's storage: what a shared cache keeps there. Needs no execution.

A path is kept as the result of an action that nobody runs: its digest is that of the path, its one output is the file.
Whoever may write to the action cache may replace it: what is read has to be signed, or its digest known.
"""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import RemoteError, StoreError
from photonbuild.remote.blobs import LostBlob, message
from photonbuild.remote.digest import Blob, Digest, digest_of, of_message
from photonbuild.remote.endpoint import Endpoint
from photonbuild.remote.engine import Engine, engine
from photonbuild.remote.proto import remote_execution_pb2 as messages

SALT = b"photonbuild file "


@dataclass(frozen=True, kw_only=True)
class EnginePlace:
    """A storage as files. Every method raises StoreError when the server does not answer.

    What the storage has dropped for want of room is not there; when and what that is, it does not tell.
    `most`: bytes of a file that is read into memory.
    """

    engine: Engine
    most: int = 256 << 20

    def digest(self, path: str) -> Digest | None:
        """Of the file; None where there is none."""
        with _as_store():
            found = self.engine.actions.cached(_key(path))
        if found is None or len(found.output_files) != 1:
            return None
        return of_message(found.output_files[0].digest)

    def read(self, path: str) -> bytes | None:
        """A small file; None where there is none."""
        digest = self.digest(path)
        if digest is None:
            return None
        if digest.size > self.most:
            raise StoreError(f"it has more than {self.most >> 20} MiB", where=path)
        with _as_store(), contextlib.suppress(LostBlob):
            return self.engine.blobs.read(digest)
        return None

    def get(self, path: str, target: Path, size: int) -> bool:
        """Fetch a file of this size; False where there is none. One of another size is not fetched: it is empty."""
        digest = self.digest(path)
        if digest is None:
            return False
        if digest.size != size:
            target.write_bytes(b"")
            return True
        with _as_store(), contextlib.suppress(LostBlob):
            self.engine.blobs.fetch(digest, target)
            return True
        return False

    def has(self, path: str) -> bool:
        digest = self.digest(path)
        with _as_store():
            return digest is not None and not self.engine.blobs.missing([digest])

    def put(self, source: Path, path: str) -> None:
        """Bring a file there, also where another one has this path."""
        blob = Blob.file(source)
        result = messages.ActionResult()
        result.output_files.add(path="file").digest.CopyFrom(message(blob.digest))
        with _as_store():
            self.engine.blobs.upload([blob])
            self.engine.actions.remember(_key(path), result)

    def times(self) -> Mapping[str, tuple[int, float]] | None:
        """That cannot be told."""
        return None

    def remove(self, paths: Collection[str]) -> None:
        """The storage does that by itself."""


def open_storage(server: Endpoint, most: int) -> EnginePlace:
    """The storage of this server, see `EnginePlace`; the connection lasts as long as the process. Raises StoreError."""
    stack = contextlib.ExitStack()
    with _as_store():
        found = stack.enter_context(engine(server, execution=False))
    atexit.register(stack.close)
    return EnginePlace(engine=found, most=most)


@contextlib.contextmanager
def _as_store() -> Iterator[None]:
    """A cache that cannot be reached is one kind of error, whatever it is made of."""
    try:
        yield
    except LostBlob:
        raise
    except RemoteError as error:
        raise StoreError(error.message, where=error.where, hint=error.hint, detail=error.detail) from error


def _key(path: str) -> Digest:
    return digest_of(SALT + path.encode())
