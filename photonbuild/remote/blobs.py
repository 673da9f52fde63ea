"""The content-addressable storage of an engine: what is missing is sent, what is fetched is checked.

Small blobs go many in one message, large ones as a stream that is taken up where it broke off.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import grpc

from photonbuild.errors import RemoteError
from photonbuild.remote.connection import AGAIN, PAUSES, Connection
from photonbuild.remote.digest import Blob, Digest, of_message
from photonbuild.remote.proto import bytestream_pb2 as stream
from photonbuild.remote.proto import bytestream_pb2_grpc as streams
from photonbuild.remote.proto import remote_execution_pb2 as messages
from photonbuild.remote.proto import remote_execution_pb2_grpc as services

PIECE = 1 << 20  # bytes in one message of a stream
ASKED = 10_000  # digests in one question
PER_BLOB = 256  # bytes that a blob takes in a message besides its own
SLOWEST = 256 << 10  # bytes a second that a stream has to make
CODES_AGAIN = frozenset(code.value[0] for code in AGAIN)
LEAST = 120.0  # seconds that every stream has


class Blobs:
    """The storage behind a connection. Any number of threads; a blob that several want is sent once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._storage = services.ContentAddressableStorageStub(connection.channel)
        self._bytes = streams.ByteStreamStub(connection.channel)
        self._known: set[Digest] = set()
        self._guard = threading.Lock()
        self._sending: dict[Digest, threading.Lock] = {}

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those that the storage does not have."""
        found: set[Digest] = set()
        wanted = sorted(set(digests))
        for start in range(0, len(wanted), ASKED):
            request = messages.FindMissingBlobsRequest(
                instance_name=self._connection.endpoint.instance,
                blob_digests=map(message, wanted[start : start + ASKED]),
            )
            answer = self._connection.call(self._storage.FindMissingBlobs, request, what="is asked for blobs")
            found |= {of_message(digest) for digest in answer.missing_blob_digests}
        return found

    def upload(self, blobs: Collection[Blob]) -> None:
        """Send what the storage does not have. What it was seen to have is not asked for again: see `forget`."""
        with self._guard:
            unknown = {blob.digest: blob for blob in blobs if blob.digest not in self._known and blob.digest.size}
        absent = self.missing(unknown)
        small = [blob for digest, blob in unknown.items() if digest in absent and self._is_small(digest)]
        for batch in self._batches(small):
            self._send(batch)
        for digest in sorted(absent, key=lambda digest: digest.size):
            if not self._is_small(digest):
                self._send_once(unknown[digest])
        with self._guard:
            self._known |= unknown.keys()

    def forget(self, digests: Iterable[Digest]) -> None:
        """The storage has lost something: ask for these again."""
        with self._guard:
            self._known -= set(digests)

    def read(self, digest: Digest) -> bytes:
        """A small blob. Raises RemoteError when it is not there, or is not what its digest says."""
        return self.read_all([digest])[digest]

    def read_all(self, digests: Iterable[Digest]) -> dict[Digest, bytes]:
        """Blobs into memory, checked."""
        wanted = {digest for digest in digests if digest.size}
        found = {digest: b"" for digest in digests if not digest.size}
        for batch in self._batches(sorted(digest for digest in wanted if self._is_small(digest))):
            request = messages.BatchReadBlobsRequest(
                instance_name=self._connection.endpoint.instance, digests=map(message, batch)
            )
            answer = self._connection.call(self._storage.BatchReadBlobs, request, what="is asked for blobs")
            for response in answer.responses:
                if response.status.code:
                    raise self._lost(of_message(response.digest), response.status.message)
                found[of_message(response.digest)] = self._checked(of_message(response.digest), response.data)
        for digest in wanted - found.keys():
            if self._is_small(digest):
                raise self._lost(digest, "it was left out of the answer")
            with io.BytesIO() as file:
                self._receive(digest, file)
                file.seek(0)
                found[digest] = file.read()
        return found

    def fetch(self, digest: Digest, target: Path) -> None:
        """A blob into a new file, which has its name when it is whole and checked."""
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            if self._is_small(digest):
                temporary.write_bytes(self.read(digest))
            else:
                with temporary.open("w+b") as file:
                    self._receive(digest, file)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def _is_small(self, digest: Digest) -> bool:
        return digest.size + PER_BLOB <= self._connection.batch

    def _batches(self, wanted: Sequence[Any]) -> Iterator[list[Any]]:
        batch: list[Any] = []
        size = 0
        for one in wanted:
            more = (one if isinstance(one, Digest) else one.digest).size + PER_BLOB
            if batch and size + more > self._connection.batch:
                yield batch
                batch, size = [], 0
            batch.append(one)
            size += more
        if batch:
            yield batch

    def _send(self, batch: Sequence[Blob]) -> None:
        row = messages.BatchUpdateBlobsRequest.Request
        request = messages.BatchUpdateBlobsRequest(
            instance_name=self._connection.endpoint.instance,
            requests=[row(digest=message(blob.digest), data=blob.read()) for blob in batch],
        )
        for number in range(1 + len(PAUSES)):
            answer = self._connection.call(self._storage.BatchUpdateBlobs, request, what="is given blobs")
            wrong = next((response.status for response in answer.responses if response.status.code), None)
            if wrong is None:
                self._connection.traffic.add(up=sum(blob.digest.size for blob in batch))
                return
            if number == len(PAUSES) or wrong.code not in CODES_AGAIN:
                raise self._connection.error("does not take a blob", detail=wrong.message)
            self._connection.pause(number)

    def _send_once(self, blob: Blob) -> None:
        """As a stream, unless another thread has sent it meanwhile."""
        with self._guard:
            lock = self._sending.setdefault(blob.digest, threading.Lock())
        with lock:
            with self._guard:
                if blob.digest in self._known:
                    return
            self._stream(blob)
            with self._guard:
                self._known.add(blob.digest)

    def _stream(self, blob: Blob) -> None:
        connection, digest = self._connection, blob.digest
        name = _resource(connection.endpoint.instance, f"uploads/{uuid.uuid4()}/blobs/{digest}")
        start = 0
        for number in range(1 + len(PAUSES)):
            try:
                requests = _requests(name, blob, start)
                done = self._bytes.Write(requests, timeout=_patience(digest), metadata=connection.metadata())
            except grpc.RpcError as error:
                connection.check_open()
                if error.code() not in AGAIN or number == len(PAUSES):
                    raise connection.failure(error, f"is given a blob of {digest.size} bytes") from None
                connection.pause(number)
                start = self._committed(name, digest)
                continue
            # A server that has the blob says so at once.
            if done.committed_size not in (digest.size, -1):
                raise connection.error(f"took {done.committed_size} bytes of a blob of {digest.size}")
            connection.traffic.add(up=digest.size)
            return

    def _committed(self, name: str, digest: Digest) -> int:
        """Where a stream that broke off is taken up: at its begin where the server does not keep what came."""
        request = stream.QueryWriteStatusRequest(resource_name=name)
        with contextlib.suppress(grpc.RpcError):
            found = self._bytes.QueryWriteStatus(request, timeout=30.0, metadata=self._connection.metadata())
            return int(found.committed_size) if 0 <= found.committed_size < digest.size else 0
        return 0

    def _receive(self, digest: Digest, file: IO[bytes]) -> None:
        connection = self._connection
        name = _resource(connection.endpoint.instance, f"blobs/{digest}")
        seen = hashlib.sha256()
        for number in range(1 + len(PAUSES)):
            request = stream.ReadRequest(resource_name=name, read_offset=file.tell())
            try:
                for answer in self._bytes.Read(request, timeout=_patience(digest), metadata=connection.metadata()):
                    file.write(answer.data)
                    seen.update(answer.data)
                    if file.tell() > digest.size:
                        raise self._damaged(digest)
                break
            except grpc.RpcError as error:
                connection.check_open()
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    raise self._lost(digest, error.details() or "") from None
                if error.code() not in AGAIN or number == len(PAUSES):
                    raise connection.failure(error, f"is asked for a blob of {digest.size} bytes") from None
                connection.pause(number)
        connection.traffic.add(down=file.tell())
        if (seen.hexdigest(), file.tell()) != digest:
            raise self._damaged(digest)

    def _checked(self, digest: Digest, data: bytes) -> bytes:
        if (hashlib.sha256(data).hexdigest(), len(data)) != digest:
            raise self._damaged(digest)
        self._connection.traffic.add(down=len(data))
        return data

    def _lost(self, digest: Digest, said: str) -> LostBlob:
        error = self._connection.error(f"has lost a blob of {digest.size} bytes", detail=said)
        return LostBlob(error.message, where=error.where, hint="its storage may be too small", detail=error.detail)

    def _damaged(self, digest: Digest) -> LostBlob:
        error = self._connection.error(f"gave other bytes than those of {digest}")
        return LostBlob(error.message, where=error.where, hint="its storage is damaged; nothing of it was used")


class LostBlob(RemoteError):
    """What should be in the storage is not, or not whole: it has to be made or sent again."""


def message(digest: Digest) -> Any:
    return messages.Digest(hash=digest.hash, size_bytes=digest.size)


def _resource(instance: str, name: str) -> str:
    return f"{instance}/{name}" if instance else name


def _patience(digest: Digest) -> float:
    return LEAST + digest.size / SLOWEST


def _requests(name: str, blob: Blob, start: int) -> Iterator[Any]:
    size = blob.digest.size
    with blob.path.open("rb") if blob.path is not None else io.BytesIO(blob.data) as file:
        file.seek(start)
        while start < size:
            data = file.read(PIECE)
            if not data:
                return
            yield stream.WriteRequest(
                resource_name=name, write_offset=start, data=data, finish_write=start + len(data) == size
            )
            start += len(data)
