"""What an action prints while it runs, from an engine that shows it.

Such an engine names a stream in ExecuteOperationMetadata (`stdout_stream_name`), which ByteStream.Read gives as it
grows: https://github.com/bazelbuild/remote-apis, remote_execution.proto and remote_logstream.proto.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from photonbuild.remote.connection import Connection
from photonbuild.remote.proto import bytestream_pb2 as stream
from photonbuild.remote.proto import bytestream_pb2_grpc as streams
from photonbuild.remote.proto import remote_execution_pb2 as messages


class Live:
    """Appends to a log what an action prints, at most so many bytes. To look at: the result of the action has it whole.

    What an earlier try printed gives way to what the next one does. A stream that breaks off is taken up with the next
    word of the engine.
    """

    def __init__(self, connection: Connection, log: Path, *, most: int) -> None:
        self._connection = connection
        self._bytes = streams.ByteStreamStub(connection.channel)
        self._log = log
        self._start = log.stat().st_size if log.exists() else 0
        self._most = most
        self._name = ""
        self._call: Any = None
        self._reader: threading.Thread | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """An execution, whose words go to `follow`; with its end the log stands still."""
        try:
            yield
        finally:
            self._stop()

    def follow(self, operation: Any) -> None:
        """A word of the engine about the action, a message Operation."""
        found = messages.ExecuteOperationMetadata()
        if operation.done or not operation.metadata.Unpack(found) or not found.stdout_stream_name:
            return
        if found.stdout_stream_name != self._name:
            self.clear()
            self._name = found.stdout_stream_name
        elif self._reader is not None and self._reader.is_alive():
            return
        offset = self._log.stat().st_size - self._start if self._log.exists() else 0
        request = stream.ReadRequest(resource_name=self._name, read_offset=offset)
        try:
            self._call = self._bytes.Read(request, metadata=self._connection.metadata())
        except ValueError:  # a channel that was closed
            return
        self._reader = threading.Thread(target=self._read, args=(self._call, offset), name="live", daemon=True)
        self._reader.start()

    def clear(self) -> None:
        """The log as it was before."""
        self._stop()
        if self._name:
            with self._log.open("ab") as log:
                log.truncate(self._start)
        self._name = ""

    def _read(self, call: Any, size: int) -> None:
        with contextlib.suppress(grpc.RpcError, OSError), self._log.open("ab", buffering=0) as log:
            for answer in call:
                size += len(answer.data)
                if size > self._most:
                    call.cancel()
                    return
                log.write(answer.data)
                self._connection.traffic.add(down=len(answer.data))

    def _stop(self) -> None:
        if self._reader is not None:
            self._call.cancel()
            self._reader.join()
            self._reader = None
