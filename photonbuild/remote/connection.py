"""A connection to an engine: its channel, what it can do, calls that are tried again, errors that say what to do."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from photonbuild.errors import ConfigError, Interrupted, RemoteError
from photonbuild.remote.endpoint import Endpoint, token_of
from photonbuild.remote.proto import remote_execution_pb2 as messages
from photonbuild.remote.proto import remote_execution_pb2_grpc as services

# Seconds before each further try of what an engine could not do just now: no more tries than these.
PAUSES = (3.0, 12.0, 45.0)
SECONDS = 60.0  # that one call may take that moves no file
VERSION = 2  # of the API
BATCH = 4 << 20  # bytes in one message, where the server names no bound; gRPC's own bound for what is received
# A server may have given up a connection while the network was away: only who sends something learns of it. Pings are
# allowed every five minutes, unless a server says otherwise, and calls at any time.
CHANNEL = (("grpc.keepalive_time_ms", 330_000), ("grpc.keepalive_timeout_ms", 60_000))
BEAT = 20.0  # seconds
METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin"

AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED})
HINTS = {
    grpc.StatusCode.UNAVAILABLE: "is it running, and are address and certificates right? remote: in your own settings",
    grpc.StatusCode.UNAUTHENTICATED: "remote: {certificate:, key:, token_file:} in your own settings say who you are",
    grpc.StatusCode.PERMISSION_DENIED: "the engine's settings say who may do this",
    grpc.StatusCode.UNIMPLEMENTED: "it needs to offer version 2 of the Remote Execution API",
    grpc.StatusCode.INVALID_ARGUMENT: "its storage may take no blob as large as a seed: docs/use/remote.md",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "its storage or its bound on a message may be too small: docs/use/remote.md",
}


@dataclass(kw_only=True)
class Traffic:
    """Bytes of blobs that went up and came down, and calls."""

    up: int = 0
    down: int = 0
    calls: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, up: int = 0, down: int = 0, calls: int = 0) -> None:
        with self._guard:
            self.up += up
            self.down += down
            self.calls += calls


class Connection:
    """One channel, for any number of threads. `invocation` is what the engine calls all that is asked through it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.invocation = str(uuid.uuid4())
        self.traffic = Traffic()
        self.closed = threading.Event()
        self.batch = BATCH
        self._channel = _channel(endpoint)
        self.capabilities_stub = services.CapabilitiesStub(self._channel)

    @property
    def channel(self) -> grpc.Channel:
        return self._channel

    def beat(self) -> None:
        """Ask something small again and again until `close`: so that what waits learns of a connection that is gone."""

        def run() -> None:
            request = messages.GetCapabilitiesRequest(instance_name=self.endpoint.instance)
            while not self.closed.wait(BEAT):
                with contextlib.suppress(grpc.RpcError, ValueError):
                    self.capabilities_stub.GetCapabilities(request, timeout=BEAT, metadata=self.metadata())

        threading.Thread(target=run, name="beat", daemon=True).start()

    def check(self, *, execution: bool) -> None:
        """Ask what the server can do. Raises RemoteError when that does not suffice."""
        found = self._capabilities(tries=1)
        cache = found.cache_capabilities
        if found.high_api_version.major and not (
            found.low_api_version.major <= VERSION <= found.high_api_version.major
        ):
            offered = f"{found.low_api_version.major} to {found.high_api_version.major}"
            raise self.error(f"offers versions {offered} of the API, not {VERSION}")
        if messages.DigestFunction.SHA256 not in cache.digest_functions:
            raise self.error("has no SHA-256 among its digest functions")
        if execution and not found.execution_capabilities.exec_enabled:
            raise self.error(
                "executes nothing: it is a cache only", hint="give the address of an engine, or use it as a cache"
            )
        if cache.max_batch_total_size_bytes:
            self.batch = min(BATCH, cache.max_batch_total_size_bytes)
        # Names of blobs and their digests are part of a message as well.
        self.batch -= 64 << 10

    def reach(self) -> None:
        """Wait for the engine to answer. Raises RemoteError when it does not after all tries."""
        self._capabilities(tries=1 + len(PAUSES))

    def _capabilities(self, *, tries: int) -> Any:
        request = messages.GetCapabilitiesRequest(instance_name=self.endpoint.instance)
        method, what = self.capabilities_stub.GetCapabilities, "is asked what it can do"
        return self.call(method, request, what=what, tries=tries, seconds=SECONDS)

    def call(
        self,
        method: Callable[..., Any],
        request: Any,
        *,
        what: str,
        tries: int = 1 + len(PAUSES),
        seconds: float = SECONDS,
        passed: Sequence[grpc.StatusCode] = (),
    ) -> Any:
        """What the method answers, after tries again where that may help; errors `passed` are raised as they are.

        Raises RemoteError, and Interrupted after `close`.
        """
        for number in range(tries):
            try:
                self.traffic.add(calls=1)
                return method(request, timeout=seconds, metadata=self.metadata(), wait_for_ready=number > 0)
            except grpc.RpcError as error:
                self.check_open()
                if error.code() in passed:
                    raise
                if error.code() not in AGAIN or number + 1 == tries:
                    raise self.failure(error, what) from None
                self.pause(number)
            except ValueError:  # a channel that was closed
                raise Interrupted("interrupted") from None
        raise AssertionError("the last try returns or raises")

    def metadata(self, action: str = "") -> tuple[tuple[str, str | bytes], ...]:
        """Of every call: which tool asks, for which action, in which run of it."""
        about = messages.RequestMetadata(
            tool_details=messages.ToolDetails(tool_name="photonbuild"),
            action_id=action,
            tool_invocation_id=self.invocation,
            correlated_invocations_id=self.invocation,
        )
        return ((METADATA, about.SerializeToString()),)

    def pause(self, number: int) -> None:
        """Wait before a further try; the first has number 0. Raises Interrupted after `close`."""
        self.closed.wait(PAUSES[min(number, len(PAUSES) - 1)])
        self.check_open()

    def check_open(self) -> None:
        if self.closed.is_set():
            raise Interrupted("interrupted")

    def error(self, message: str, *, hint: str | None = None, detail: str | None = None) -> RemoteError:
        return RemoteError(f"the engine {message}", where=self.endpoint.address, hint=hint, detail=detail)

    def failure(self, error: grpc.RpcError, what: str, *, hint: str | None = None) -> RemoteError:
        """What a failed call means for a user. What the server says of it is shown as it is; `hint` replaces ours."""
        code: grpc.StatusCode = error.code()
        said = (error.details() or "").strip()
        if code is grpc.StatusCode.UNAVAILABLE:
            return self.error("cannot be reached, or stopped answering", hint=HINTS[code], detail=said)
        message = {
            grpc.StatusCode.UNAUTHENTICATED: "does not know this client",
            grpc.StatusCode.PERMISSION_DENIED: "refuses this client",
            grpc.StatusCode.UNIMPLEMENTED: "lacks what is needed",
            grpc.StatusCode.DEADLINE_EXCEEDED: "did not answer in time",
            grpc.StatusCode.RESOURCE_EXHAUSTED: "has no room",
        }.get(code, f"failed ({code.name})")
        return self.error(f"{message}: it {what}", hint=hint or HINTS.get(code), detail=said)

    def close(self) -> None:
        """End all calls, in whatever thread; `Interrupted` is raised there. For Ctrl-C, and when all is done."""
        self.closed.set()
        self._channel.close()


def bearer(file: Path) -> Callable[[Any, Callable[..., None]], None]:
    """Tells gRPC the token of a file, read for each call: one that expires is replaced while a build runs.

    Raises ConfigError when there is none now.
    """
    token_of(file)

    def tell(context: Any, callback: Callable[..., None]) -> None:
        try:
            callback((("authorization", f"Bearer {token_of(file)}"),), None)
        except ConfigError as error:
            callback((), error)

    return tell


def _channel(endpoint: Endpoint) -> grpc.Channel:
    options = CHANNEL
    if not endpoint.tls:
        return grpc.insecure_channel(endpoint.target, options=options)
    credentials = grpc.ssl_channel_credentials(
        *(path.read_bytes() if path else None for path in (endpoint.authority, endpoint.key, endpoint.certificate))
    )
    if endpoint.token_file is not None:
        token = grpc.metadata_call_credentials(bearer(endpoint.token_file))
        credentials = grpc.composite_channel_credentials(credentials, token)
    return grpc.secure_channel(endpoint.target, credentials, options=options)
