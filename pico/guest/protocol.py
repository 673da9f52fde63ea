"""The frames between the host and the agent in a pico machine, see docs/reference/pico-protocol.md."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

from photonbuild.errors import PhotonbuildError

VERSION = 1
HEADER = struct.Struct("<IBBH")
MAX_PAYLOAD = 64 << 10
# What a stream may hold that its reader has not yet credited, in bytes, for each process and direction.
WINDOW = 256 << 10
MAIN = 1
MAX_PROCESS = 0xFFFF
LATEST = 2**63 - 1  # ns since 1970


class Type(IntEnum):
    """What a frame is: below 64 from the host, the rest from the guest. `TIME` is in the log only."""

    HELLO = 1
    SETUP = 2
    START = 3
    STDIN = 4
    SIGNAL = 5
    RESIZE = 6
    WINDOW = 7
    SHUTDOWN = 8
    PING = 9
    ATTACH = 10
    REHEARSE = 11
    WELCOME = 65
    READY = 66
    STARTED = 67
    STDOUT = 68
    STDERR = 69
    EXITED = 70
    ERROR = 71
    PONG = 72
    CREDIT = 73
    DETACHED = 74
    TIME = 75
    REHEARSED = 76


class ProtocolError(PhotonbuildError):
    """Bytes that are no frames of this protocol, or a frame that does not belong here."""

    exit_code = 125


@dataclass(frozen=True)
class Frame:
    """`type` is a plain number when this version does not know it; `process` 0 is the machine itself."""

    type: int
    process: int = 0
    payload: bytes = b""

    @property
    def fields(self) -> dict[str, str]:
        """The records of the payload; of a key that repeats, the last. Raises ProtocolError."""
        return dict(records(self.payload))


def encode(frame: Frame) -> bytes:
    """The bytes of a frame."""
    assert len(frame.payload) <= MAX_PAYLOAD
    return HEADER.pack(len(frame.payload), frame.type, 0, frame.process) + frame.payload


def payload(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Records ``key=value`` each ended by NUL. Raises ProtocolError for a value with NUL or one that does not fit."""
    out = bytearray()
    for key, value in pairs:
        assert key and "=" not in key
        if "\0" in value:
            raise ProtocolError(f"{key} holds a NUL character")
        out += f"{key}={value}".encode(errors="surrogateescape") + b"\0"
    if len(out) > MAX_PAYLOAD:
        raise ProtocolError(
            f"{len(out)} bytes of settings do not fit into a frame of {MAX_PAYLOAD}",
            hint="fewer or shorter arguments and environment variables",
        )
    return bytes(out)


def records(payload: bytes) -> list[tuple[str, str]]:
    """The pairs in a payload, in their order. Raises ProtocolError."""
    if not payload:
        return []
    if not payload.endswith(b"\0"):
        raise ProtocolError("the last record of a frame has no end")
    pairs = []
    for record in payload[:-1].split(b"\0"):
        key, equals, value = record.decode(errors="surrogateescape").partition("=")
        if not equals or not key:
            raise ProtocolError(f"a record without a key: {key[:40]!r}")
        pairs.append((key, value))
    return pairs


def number(text: str, most: int) -> int:
    """A decimal number of the guest's, 0 to `most`. Raises ProtocolError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most):
        raise ProtocolError(f"{text[:20]!r} is no number up to {most}")
    return int(text)


class Decoder:
    """Bytes in pieces of any size → frames. After a ProtocolError the stream cannot be read any further."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not yet whole."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """All frames that are whole now. Raises ProtocolError for a header that cannot be one."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            length, kind, reserved, process = HEADER.unpack_from(self._buffer)
            if length > MAX_PAYLOAD or reserved:
                raise ProtocolError(f"not a frame: length {length}, type {kind}, reserved {reserved}")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield Frame(kind, process, payload)


@dataclass(frozen=True)
class Exit:
    """How a process ended: its exit code, or the number of the signal that ended it."""

    code: int | None = None
    signal: int | None = None

    @property
    def status(self) -> int:
        """As a shell counts it: the code, or 128 and the signal."""
        return self.code if self.code is not None else 128 + (self.signal or 0)

    @staticmethod
    def of(frame: Frame) -> Exit:
        """What an EXITED frame says. Raises ProtocolError."""
        fields = frame.fields
        if "code" in fields:
            return Exit(code=number(fields["code"], 255))
        if "signal" in fields:
            return Exit(signal=number(fields["signal"], 127))
        raise ProtocolError("an EXITED frame without code and signal")


LogKind = Literal["ready", "started", "stdout", "stderr", "exited", "error"]
LOG_KINDS: dict[int, LogKind] = {
    Type.READY: "ready",
    Type.STARTED: "started",
    Type.STDOUT: "stdout",
    Type.STDERR: "stderr",
    Type.EXITED: "exited",
    Type.ERROR: "error",
}


@dataclass(frozen=True)
class LogEntry:
    """One frame of the log; `clock` is the guest's time when it was written or up to 100 ms before, in ns."""

    kind: LogKind
    clock: int
    frame: Frame


class LogReader:
    """A machine's log from its beginning; each call of `entries` goes on where the last one ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._clock = 0
        self._decoder = Decoder()

    def entries(self) -> Iterator[LogEntry]:
        """What is there and whole by now; a torn frame at the end waits for the rest of it.

        Raises ProtocolError when the file is no such log. A file that does not exist yet is empty.
        """
        try:
            handle = self._path.open("rb")
        except FileNotFoundError:
            return
        with handle:
            handle.seek(self._offset)
            while data := handle.read(1 << 20):
                self._offset += len(data)
                try:
                    yield from self._decoded(data)
                except ProtocolError as error:
                    raise ProtocolError(error.message, where=str(self._path)) from None

    def _decoded(self, data: bytes) -> Iterator[LogEntry]:
        for frame in self._decoder.feed(data):
            if frame.type == Type.TIME:
                self._clock = number(frame.fields.get("clock", ""), LATEST)
            elif kind := LOG_KINDS.get(frame.type):
                yield LogEntry(kind, self._clock, frame)


def read_log(path: Path) -> Iterator[LogEntry]:
    """The whole entries of a log. Raises ProtocolError."""
    return LogReader(path).entries()
