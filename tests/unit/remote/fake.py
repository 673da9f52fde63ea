"""A server of the API on loopback, in memory, whose faults are chosen: what a real one does seldom."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.longrunning import operations_pb2 as operations

from photonbuild.remote.actions import Action, action
from photonbuild.remote.proto import bytestream_pb2 as stream
from photonbuild.remote.proto import bytestream_pb2_grpc as streams
from photonbuild.remote.proto import remote_execution_pb2 as messages
from photonbuild.remote.proto import remote_execution_pb2_grpc as services


@dataclass
class Server(
    services.CapabilitiesServicer,
    services.ContentAddressableStorageServicer,
    services.ActionCacheServicer,
    services.ExecutionServicer,
    streams.ByteStreamServicer,
):
    """`blobs` by hash, `results` by the action's. Each of `faults` happens once: (method, status code or text).

    `plain`: what went wrong with an action is the operation's error, as BuildGrid has it, in place of a result.
    `printing`: what each execution prints, by the name of its stream; it ends when `ended` is set.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    faults: list[tuple[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    partial: dict[str, bytes] = field(default_factory=dict)
    executes: bool = True
    version: int = 2
    batch: int = 1 << 20
    priorities: list[int] = field(default_factory=list)
    plain: bool = False
    printing: dict[str, bytes] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    running: grpc.Server | None = None

    def _fault(self, method: str, context: grpc.ServicerContext | None) -> Any:
        self.calls.append(method)
        if self.faults and self.faults[0][0] == method:
            what = self.faults.pop(0)[1]
            if what == "gone" and self.running is not None and context is not None:
                self.running.stop(5)  # what is being answered may end
                context.abort(grpc.StatusCode.UNAVAILABLE, "as chosen")
            if isinstance(what, grpc.StatusCode) and context is not None:
                context.abort(what, "as chosen")
            return what
        return None

    def GetCapabilities(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._fault("GetCapabilities", context)
        found = messages.ServerCapabilities()
        found.low_api_version.major = found.high_api_version.major = self.version
        found.cache_capabilities.digest_functions.append(messages.DigestFunction.SHA256)
        found.cache_capabilities.max_batch_total_size_bytes = self.batch
        found.execution_capabilities.exec_enabled = self.executes
        return found

    def FindMissingBlobs(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._fault("FindMissingBlobs", context)
        missing = [digest for digest in request.blob_digests if digest.hash not in self.blobs]
        return messages.FindMissingBlobsResponse(missing_blob_digests=missing)

    def BatchUpdateBlobs(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._fault("BatchUpdateBlobs", context)
        answer = messages.BatchUpdateBlobsResponse()
        for one in request.requests:
            assert hashlib.sha256(one.data).hexdigest() == one.digest.hash
            self.blobs[one.digest.hash] = one.data
            answer.responses.add(digest=one.digest)
        return answer

    def BatchReadBlobs(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._fault("BatchReadBlobs", context)
        answer = messages.BatchReadBlobsResponse()
        for digest in request.digests:
            response = answer.responses.add(digest=digest, data=self.blobs.get(digest.hash, b""))
            response.status.code = 0 if digest.hash in self.blobs else grpc.StatusCode.NOT_FOUND.value[0]
        return answer

    def Write(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        self.calls.append("Write")
        name, data = "", b""
        for request in requests:
            name = name or request.resource_name
            data = data or self.partial.get(name, b"")[: request.write_offset]
            assert request.write_offset == len(data)
            data += request.data
            if self.faults and self.faults[0] == ("Write", "half"):
                self.faults.pop(0)
                self.partial[name] = data
                context.abort(grpc.StatusCode.UNAVAILABLE, "broke off")
        self.blobs[hashlib.sha256(data).hexdigest()] = data
        return stream.WriteResponse(committed_size=len(data))

    def QueryWriteStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._fault("QueryWriteStatus", context)
        return stream.QueryWriteStatusResponse(committed_size=len(self.partial.get(request.resource_name, b"")))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.calls.append(f"Read {request.read_offset}")
        if request.resource_name in self.printing:
            yield from self._print(self.printing[request.resource_name][request.read_offset :], context)
            return
        data = self.blobs.get(request.resource_name.split("/")[-2])
        if data is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing there")
        assert data is not None
        for start in range(request.read_offset, len(data), 1 << 18):
            yield stream.ReadResponse(data=data[start : start + (1 << 18)])
            if self.faults and self.faults[0] == ("Read", "half"):
                self.faults.pop(0)
                context.abort(grpc.StatusCode.UNAVAILABLE, "broke off")

    def _print(self, text: bytes, context: grpc.ServicerContext) -> Iterator[Any]:
        """As one who goes on printing: a byte at a time."""
        for number, byte in enumerate(text):
            yield stream.ReadResponse(data=bytes([byte]))
            if number == 2 and self.faults and self.faults[0] == ("Read", "half"):
                self.faults.pop(0)
                context.abort(grpc.StatusCode.UNAVAILABLE, "broke off")
        while context.is_active() and not self.ended.wait(0.01):
            pass

    def GetActionResult(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._fault("GetActionResult", context)
        if request.action_digest.hash not in self.results:
            context.abort(grpc.StatusCode.NOT_FOUND, "never seen")
        return self.results[request.action_digest.hash]

    def UpdateActionResult(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._fault("UpdateActionResult", context)
        self.results[request.action_digest.hash] = request.action_result
        return request.action_result

    def Execute(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.priorities.append(request.execution_policy.priority)
        operation = operations.Operation(name=f"operations/{request.action_digest.hash}")
        yield operation
        if self.printing:
            name = sorted(self.printing)[len(self.priorities) - 1]
            operation.metadata.Pack(messages.ExecuteOperationMetadata(stdout_stream_name=name))
            while not self.ended.wait(0.05):
                yield operation
        yield self._done(request.action_digest.hash, self._fault("Execute", context))

    def WaitExecution(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield self._done(request.name.rpartition("/")[2], self._fault("WaitExecution", context))

    def _done(self, name: str, status: Any) -> Any:
        response = messages.ExecuteResponse()
        if isinstance(status, int):
            response.status.code = status
            response.status.message = "as chosen"
        else:
            response.result.execution_metadata.worker = '{"name":"ada"}'
            response.result.stdout_raw = b"hello"
        operation = operations.Operation(name=f"operations/{name}", done=True)
        operation.response.Pack(response)
        if self.plain and isinstance(status, int):
            operation.error.code, operation.error.message = status, "as chosen"
        return operation


def nothing() -> Action:
    return action(["true"], {}, environment={}, outputs=[], platform={}, seconds=1)


@contextmanager
def serve(server: Server) -> Iterator[str]:
    """Its address while the block runs."""
    running = server.running = grpc.server(ThreadPoolExecutor(8))
    services.add_CapabilitiesServicer_to_server(server, running)
    services.add_ContentAddressableStorageServicer_to_server(server, running)
    services.add_ActionCacheServicer_to_server(server, running)
    services.add_ExecutionServicer_to_server(server, running)
    streams.add_ByteStreamServicer_to_server(server, running)
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        running.stop(None)
