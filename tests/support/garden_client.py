"""A client for Garden's HTTP API, with the standard library only, written from the API's documentation.

The documentation is cited in `garden_fixtures`. Requests and answers are JSON over a unix socket; files travel as tar
streams. A process is streamed over hijacked connections: after the head of the answer to `run` or `attach` the
connection carries JSON messages both ways, and its output comes raw over one more connection for each of stdout and
stderr. A hijacked stream ends with its connection, whatever the head says of its length or encoding.
"""

from __future__ import annotations

import codecs
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from tests.support.garden_fixtures import KILL, ROUTES, SECOND, STDIN, TERMINATE

CHUNK = 1 << 16


class GardenError(Exception):
    """An answer that is an error. `kind` is the documented type, empty for an error that has none."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body
        try:
            fields = json.loads(body)
        except ValueError:
            fields = None
        self.is_documented = isinstance(fields, dict) and {"Type", "Message"} & set(fields) != set()
        fields = fields if isinstance(fields, dict) else {"Message": body.decode(errors="replace").strip()}
        self.kind = str(fields.get("Type") or "")
        self.handle = str(fields.get("Handle") or "")
        self.process_id = str(fields.get("ProcessID") or "")
        self.message = str(fields.get("Message") or "")
        if self.kind == "ContainerNotFoundError":
            self.message = self.message or f"unknown handle: {self.handle}"
        if self.kind == "ProcessNotFoundError":
            self.message = self.message or f"unknown process: {self.process_id}"
        super().__init__(f"{self.status} {self.kind}: {self.message}")


class StreamError(Exception):
    """A process stream that reported an error, or ended without an exit status."""


class Messages:
    """JSON objects out of a stream of bytes that may be cut anywhere, with any white space between them."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""

    def feed(self, data: bytes) -> None:
        self._text += self._decoder.decode(data)

    def take(self) -> dict[str, Any] | None:
        """The next object, None when it is not complete. Raises StreamError for what is none."""
        text = self._text.lstrip()
        if not text:
            return None
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except json.JSONDecodeError as error:
            # No JSON encoder breaks a line inside a message.
            if text[0] != "{" or "\n" in text.strip():
                raise StreamError(f"no JSON: {text[:200]!r}") from error
            return None
        self._text = text[end:]
        if not isinstance(value, dict):
            raise StreamError(f"no message: {value!r}")
        return value


@dataclass
class Seen:
    """One request that was answered: the route's name and the status."""

    route: str
    status: int


class Process:
    """A process as seen over one attachment. Close it, or use it as a context manager."""

    def __init__(self, garden: Garden, handle: str, sock: socket.socket, reply: http.client.HTTPResponse) -> None:
        self._garden, self._handle, self._sock, self._reply = garden, handle, sock, reply
        self._messages = Messages()
        self._closing = [sock]
        self._output = {"Stdout": bytearray(), "Stderr": bytearray()}
        self._threads: list[threading.Thread] = []
        started = self._next()
        self.id, self.stream_id = str(started["process_id"]), str(started["stream_id"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def follow(self, *streams: str) -> Self:
        """Connect to the named output streams, ``Stdout`` and ``Stderr``."""
        for name in streams:
            sock, reply = self._garden.hijack(name, handle=self._handle, pid=self.id, streamid=self.stream_id)
            self._closing.append(sock)
            thread = threading.Thread(target=self._copy, args=(reply, self._output[name]), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    @staticmethod
    def _copy(reply: http.client.HTTPResponse, output: bytearray) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := raw(reply):
                output += data

    @property
    def stdout(self) -> bytes:
        return bytes(self._output["Stdout"])

    @property
    def stderr(self) -> bytes:
        return bytes(self._output["Stderr"])

    def _send(self, **fields: Any) -> None:
        self._sock.sendall(json.dumps({"process_id": self.id, **fields}).encode() + b"\n")

    def write(self, data: str) -> None:
        self._send(source=STDIN, data=data)

    def close_stdin(self) -> None:
        self._send(source=STDIN)

    def set_tty(self, columns: int, rows: int) -> None:
        self._send(tty={"window_size": {"columns": columns, "rows": rows}})

    def signal(self, number: int) -> None:
        self._send(signal=number)

    def terminate(self) -> None:
        self.signal(TERMINATE)

    def kill(self) -> None:
        self.signal(KILL)

    def send_raw(self, data: bytes) -> None:
        """Bytes of any kind on the control connection."""
        self._sock.sendall(data)

    def _next(self) -> dict[str, Any]:
        while (message := self._messages.take()) is None:
            data = raw(self._reply)
            if not data:
                raise StreamError("the connection ended before an exit status")
            self._messages.feed(data)
        return message

    def wait(self, timeout: float = 60) -> int:
        """The exit status, when all output has come. Raises StreamError, and TimeoutError, after which all is over."""
        self._sock.settimeout(timeout)
        while True:
            message = self._next()
            if message.get("error") is not None:
                raise StreamError(str(message["error"]))
            if message.get("exit_status") is not None:
                break
        for thread in self._threads:
            thread.join(timeout)
            if thread.is_alive():
                raise TimeoutError("the process has ended, its output has not")
        self.close()
        return int(message["exit_status"])

    def close(self) -> None:
        """Drop all connections at once, without a word."""
        for sock in self._closing:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def raw(reply: http.client.HTTPResponse) -> bytes:
    """The next bytes of a hijacked connection; none at its end."""
    return bytes(reply.fp.read1(CHUNK))


def chunked(data: Iterable[bytes]) -> Iterator[bytes]:
    """Bytes in the chunked transfer coding of HTTP/1.1 (RFC 9112, section 7.1)."""
    for part in data:
        if part:
            yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


class Garden:
    """The API over the unix socket `path`. Every answered request is noted in `seen`."""

    def __init__(self, path: str | Path, timeout: float = 120) -> None:
        self.path, self.timeout = str(path), timeout
        self.seen: list[Seen] = []

    def open(
        self, method: str, target: str, body: bytes | Iterable[bytes] | None, kind: str, *, keep: bool = False
    ) -> tuple[socket.socket, http.client.HTTPResponse]:
        """Send one request over a connection of its own; the head of the answer has been read."""
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self.path)
            head = [f"{method} {target} HTTP/1.1", "Host: api"]
            head += [] if keep else ["Connection: close"]
            head += [f"Content-Type: {kind}"] if kind else []
            if isinstance(body, bytes):
                head.append(f"Content-Length: {len(body)}")
            elif body is not None:
                head.append("Transfer-Encoding: chunked")
            sock.sendall("\r\n".join([*head, "", ""]).encode())
            # A server may answer, and close, before it has read everything.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for part in [body] if isinstance(body, bytes) else chunked(body) if body is not None else []:
                    sock.sendall(part)
            reply = http.client.HTTPResponse(sock, method=method)
            reply.begin()
        except BaseException:
            sock.close()
            raise
        return sock, reply

    def target(self, route: str, query: Mapping[str, str] | None = None, **values: str) -> str:
        path = ROUTES[route].path
        words = [quote(values[word[1:]], safe="") if word.startswith(":") else word for word in path.split("/")]
        return "/".join(words) + (f"?{urlencode(query)}" if query else "")

    def request(
        self,
        route: str,
        body: bytes | Iterable[bytes] | None = None,
        kind: str = "",
        query: Mapping[str, str] | None = None,
        **values: str,
    ) -> bytes:
        """The body of a good answer. Raises GardenError."""
        target = self.target(route, query, **values)
        sock, reply = self.open(ROUTES[route].method, target, body, kind)
        with sock, reply:
            content = reply.read()
        self.seen.append(Seen(route, reply.status))
        if not 200 <= reply.status <= 299:
            raise GardenError(reply.status, content)
        return content

    def call(self, route: str, value: Any = None, query: Mapping[str, str] | None = None, **values: str) -> Any:
        """The JSON value of a good answer to a JSON value. Raises GardenError."""
        body = None if value is None else json.dumps(value).encode() + b"\n"
        return json.loads(self.request(route, body, "application/json" if body else "", query, **values))

    def hijack(self, route: str, value: Any = None, **values: str) -> tuple[socket.socket, http.client.HTTPResponse]:
        """Send a request whose connection stays open for a stream. Raises GardenError."""
        body = None if value is None else json.dumps(value).encode() + b"\n"
        target = self.target(route, None, **values)
        sock, reply = self.open(ROUTES[route].method, target, body, "application/json" if body else "", keep=True)
        self.seen.append(Seen(route, reply.status))
        if not 200 <= reply.status <= 299:
            with sock, reply:
                raise GardenError(reply.status, reply.read())
        sock.settimeout(None)
        return sock, reply

    def ping(self) -> None:
        self.call("Ping")

    def capacity(self) -> dict[str, int]:
        return dict(self.call("Capacity"))

    def containers(self, properties: Mapping[str, str] | None = None) -> list[str]:
        return list(self.call("List", query=properties)["handles"] or [])

    def create(self, spec: Mapping[str, Any]) -> str:
        return str(self.call("Create", spec)["handle"])

    def destroy(self, handle: str) -> None:
        self.call("Destroy", handle=handle)

    def stop(self, handle: str, kill: bool = False) -> None:
        self.call("Stop", {"kill": kill}, handle=handle)

    def info(self, handle: str) -> dict[str, Any]:
        return dict(self.call("Info", handle=handle))

    def bulk_info(self, handles: Sequence[str]) -> dict[str, Any]:
        return dict(self.call("BulkInfo", query={"handles": ",".join(handles)}))

    def metrics(self, handle: str) -> dict[str, Any]:
        return dict(self.call("Metrics", handle=handle))

    def bulk_metrics(self, handles: Sequence[str]) -> dict[str, Any]:
        return dict(self.call("BulkMetrics", query={"handles": ",".join(handles)}))

    def limits(self, handle: str, what: str) -> dict[str, int]:
        """Limits of ``bandwidth``, ``cpu``, ``disk`` or ``memory``."""
        word = what.upper() if what == "cpu" else what.capitalize()
        return dict(self.call(f"Current{word}Limits", handle=handle))

    def stream_in(self, handle: str, path: str, tar: bytes | Iterable[bytes], user: str = "") -> None:
        parts = [tar[start : start + CHUNK] for start in range(0, len(tar), CHUNK)] if isinstance(tar, bytes) else tar
        self.request("StreamIn", parts, "application/x-tar", {"user": user, "destination": path}, handle=handle)

    def stream_out(self, handle: str, path: str, user: str = "") -> bytes:
        return self.request("StreamOut", query={"user": user, "source": path}, handle=handle)

    def net_in(self, handle: str, host_port: int = 0, container_port: int = 0) -> tuple[int, int]:
        """Publish a port; 0 lets the server choose. Both ports, as they are now."""
        asked = {"handle": handle, "host_port": host_port, "container_port": container_port}
        ports = self.call("NetIn", {key: value for key, value in asked.items() if value}, handle=handle)
        return int(ports["host_port"]), int(ports["container_port"])

    def net_out(self, handle: str, rule: Mapping[str, Any]) -> None:
        self.call("NetOut", rule, handle=handle)

    def bulk_net_out(self, handle: str, rules: Sequence[Mapping[str, Any]]) -> None:
        self.call("BulkNetOut", rules, handle=handle)

    def set_grace_time(self, handle: str, seconds: float) -> None:
        self.call("SetGraceTime", round(seconds * SECOND), handle=handle)

    def properties(self, handle: str) -> dict[str, str]:
        return dict(self.call("Properties", handle=handle))

    def property(self, handle: str, key: str) -> str:
        return str(self.call("Property", handle=handle, key=key)["value"])

    def set_property(self, handle: str, key: str, value: str) -> None:
        self.call("SetProperty", {"value": value}, handle=handle, key=key)

    def remove_property(self, handle: str, key: str) -> None:
        self.call("RemoveProperty", handle=handle, key=key)

    def run(self, handle: str, spec: Mapping[str, Any], streams: Sequence[str] = ("Stdout", "Stderr")) -> Process:
        """Start a process and attach to it. Raises GardenError."""
        sock, reply = self.hijack("Run", spec, handle=handle)
        return Process(self, handle, sock, reply).follow(*streams)

    def attach(self, handle: str, pid: str, streams: Sequence[str] = ("Stdout", "Stderr")) -> Process:
        """Attach to a running process. Raises GardenError."""
        sock, reply = self.hijack("Attach", handle=handle, pid=pid)
        return Process(self, handle, sock, reply).follow(*streams)
