"""The host's end of the protocol over one connected stream socket, see docs/reference/pico-protocol.md."""

from __future__ import annotations

import os
import secrets
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from pico.guest.errors import GuestError, GuestGoneError, guest_error, printable
from pico.guest.messages import Process, Setup, Welcome
from pico.guest.protocol import (
    HEADER,
    MAIN,
    MAX_PAYLOAD,
    VERSION,
    WINDOW,
    Decoder,
    Exit,
    Frame,
    ProtocolError,
    Type,
    encode,
    number,
    payload,
)
from pico.guest.sink import Sink

READ = 64 << 10
MOST_VERSION = 1 << 16
OUTPUT = (Type.STDOUT, Type.STDERR)
# Credit is given in steps, not for every write.
STEP = WINDOW // 8
# Bytes of frames, beside output, that nobody has asked for yet; how often the socket is read before they are looked at.
INBOX, READS = 1 << 20, 16


class Session:
    """One connection to the agent and, once there is one, the one process whose streams it carries.

    Not safe for threads. `close` closes the socket; so may the caller.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        self._decoder = Decoder()
        self._inbox: deque[Frame] = deque()
        self._out = bytearray()
        self._process = 0
        self._credit = 0
        self._owed = 0
        self._left = 0  # what the guest may still send of the process's output
        self._waiting = 0  # bytes of the inbox that are no output

    def close(self) -> None:
        self._sock.close()

    # -- requests: they are queued and sent as far as the socket takes them; nothing waits for the guest

    def hello(self, timeout: float) -> Welcome:
        """Begin, and wait for the answer; anything that came before it is thrown away.

        Raises GuestError; a second connection may then have an answer, see "Closing and reopening a port".
        """
        nonce = secrets.token_hex(16)
        self._send(Type.HELLO, 0, [("nonce", nonce), ("version", str(VERSION))])
        self._skip_to(f"nonce={nonce}\0".encode(), time.monotonic() + timeout)
        frame = self.wait({Type.WELCOME}, timeout)
        fields = frame.fields
        state = fields.get("state")
        version = number(fields.get("version", ""), MOST_VERSION)
        if state not in ("waiting", "ready", "stopping"):
            raise ProtocolError(f"an unusable WELCOME: {fields}")
        return Welcome(
            version=version,
            agent=printable(fields.get("agent", "")),
            kernel=printable(fields.get("kernel", "")),
            state=state,  # type: ignore[arg-type]
            clock=printable(fields.get("clock", "")),
        )

    def setup(self, setup: Setup) -> None:
        """Send SETUP; `ready` waits for its end."""
        self._send(Type.SETUP, 0, setup.pairs())

    def start(self, process: Process, number: int = MAIN) -> None:
        """Send START; from now on this session carries the streams of that process."""
        self._send(Type.START, number, process.pairs())
        self._process, self._credit, self._owed, self._left = number, WINDOW, 0, WINDOW

    def attach(self, number: int = MAIN) -> None:
        """Take over the streams of a process that runs. The guest answers STARTED, or EXITED if it has ended."""
        self._send(Type.ATTACH, number, [])
        self._process, self._credit, self._owed, self._left = number, 0, 0, WINDOW

    def signal(self, number: int, process: int | None = None) -> None:
        self._send(Type.SIGNAL, self._process if process is None else process, [("number", str(number))])

    def resize(self, rows: int, columns: int) -> None:
        self._send(Type.RESIZE, self._process, [("rows", str(rows)), ("columns", str(columns))])

    def shutdown(self, *, signal: int = 15, seconds: float = 10) -> None:
        """Ask for the end: `signal` to the main process, after `seconds` SIGKILL, then power off."""
        self._send(Type.SHUTDOWN, 0, [("signal", str(signal)), ("seconds", f"{seconds:.3f}")])

    # -- answers

    def ready(self, timeout: float) -> Mapping[str, str]:
        """Wait for READY; its fields, ``address`` for one. Raises GuestError when SETUP failed."""
        return self.wait({Type.READY}, timeout).fields

    def started(self, timeout: float) -> Mapping[str, str]:
        """Wait for STARTED; its fields, ``pid`` for one. Raises GuestError when there is no such program."""
        return self.wait({Type.STARTED}, timeout).fields

    def ping(self, timeout: float) -> None:
        """Raises GuestError when there is no answer in time."""
        self._send(Type.PING, 0, [])
        self.wait({Type.PONG}, timeout)

    def rehearse(self, timeout: float) -> None:
        """Let the guest do once, before SETUP, what SETUP and START do. Raises GuestError."""
        self._send(Type.REHEARSE, 0, [])
        self.wait({Type.REHEARSED}, timeout)

    def wait(self, types: set[Type], timeout: float) -> Frame:
        """The next frame of these types; frames of other types stay for later. Raises GuestError for an ERROR."""
        deadline = time.monotonic() + timeout
        while True:
            for frame in self._inbox:
                if frame.type == Type.ERROR or frame.type in types:
                    self._inbox.remove(frame)
                    self._taken(frame)
                    if frame.type == Type.ERROR:
                        raise guest_error(frame)
                    return frame
            self._exchange(deadline, " or ".join(sorted(each.name for each in types)))

    def pump(
        self,
        stdin_fd: int | None,
        stdout_fd: int,
        stderr_fd: int,
        *,
        wakeup_fd: int | None = None,
        on_wakeup: Callable[[bytes], None] | None = None,
    ) -> Exit | None:
        """Carry the streams of the process until it ends; None when another connection has taken it over.

        Descriptors stay in the mode they are in; none is waited for alone. What comes out of `wakeup_fd`, see
        signal.set_wakeup_fd, goes to `on_wakeup`, which may call `signal`, `resize` and `shutdown`. A stdout or stderr
        that nobody reads any more (EPIPE) raises BrokenPipeError. Raises GuestError.
        """
        sinks = {Type.STDOUT: Sink(stdout_fd), Type.STDERR: Sink(stderr_fd)}
        ended: Exit | None = None
        failure: GuestError | None = None
        done = False
        while True:
            while self._inbox and not done:
                frame = self._inbox.popleft()
                self._taken(frame)
                if frame.type == Type.ERROR and frame.process in (0, self._process):
                    failure, done = guest_error(frame), True
                elif frame.process != self._process:
                    continue
                elif frame.type in (Type.STDOUT, Type.STDERR):
                    sinks[Type(frame.type)].pending += frame.payload
                elif frame.type == Type.CREDIT:
                    self._credit = min(self._credit + number(frame.fields.get("bytes", ""), WINDOW), WINDOW)
                elif frame.type in (Type.EXITED, Type.DETACHED):
                    ended, done = (Exit.of(frame) if frame.type == Type.EXITED else None), True
            if done and not any(sink.pending for sink in sinks.values()):
                if failure is not None:
                    raise failure
                return ended
            try:
                stdin_fd = self._turn(stdin_fd, sinks, wakeup_fd, on_wakeup, done)
            except GuestGoneError as error:
                failure, done = error, True

    def _turn(
        self,
        stdin_fd: int | None,
        sinks: Mapping[Type, Sink],
        wakeup_fd: int | None,
        on_wakeup: Callable[[bytes], None] | None,
        done: bool,
    ) -> int | None:
        """Wait for whatever can go on, and do it; the stdin to go on with."""
        poll = select.poll()
        wanted: dict[int, int] = {}
        if not done:
            wanted[self._sock.fileno()] = select.POLLIN | (select.POLLOUT if self._out else 0)
            if stdin_fd is not None and self._credit and len(self._out) < MAX_PAYLOAD:
                wanted[stdin_fd] = wanted.get(stdin_fd, 0) | select.POLLIN
        for sink in sinks.values():
            if sink.pending:
                wanted[sink.fd] = wanted.get(sink.fd, 0) | select.POLLOUT
        if wakeup_fd is not None:
            wanted[wakeup_fd] = select.POLLIN
        for fd, mask in wanted.items():
            poll.register(fd, mask)
        events = dict(poll.poll())
        if wakeup_fd is not None and events.get(wakeup_fd) and on_wakeup is not None:
            on_wakeup(os.read(wakeup_fd, 4096))
        for sink in sinks.values():
            if sink.pending and events.get(sink.fd, 0) & ~select.POLLIN:
                self._grant(sink.write())
        if stdin_fd is not None and wanted.get(stdin_fd, 0) & select.POLLIN and events.get(stdin_fd, 0):
            stdin_fd = self._read_stdin(stdin_fd)
        if not done:
            self._receive()
            self._flush()
        return stdin_fd

    def _read_stdin(self, fd: int) -> int | None:
        try:
            data = os.read(fd, min(self._credit, MAX_PAYLOAD))
        except BlockingIOError:
            return fd
        except OSError:  # a terminal that is gone
            data = b""
        self._credit -= len(data)
        self._out += encode(Frame(Type.STDIN, self._process, data))
        return fd if data else None

    def _grant(self, count: int) -> None:
        """Credit for output that has been handed on."""
        self._owed += count
        if self._owed >= STEP:
            self._send(Type.WINDOW, self._process, [("bytes", str(self._owed))])
            self._left += self._owed
            self._owed = 0

    def _keep(self, frame: Frame) -> None:
        """Into the inbox. Raises GuestError for more than a guest may send unasked."""
        if frame.type in OUTPUT:
            if not self._process or frame.process != self._process:
                return
            self._left -= len(frame.payload)
        else:
            self._waiting += HEADER.size + len(frame.payload)
        if self._left < 0 or self._waiting > INBOX:
            raise GuestError("the guest sends more than it may")
        self._inbox.append(frame)

    def _taken(self, frame: Frame) -> None:
        """Out of the inbox."""
        if frame.type not in OUTPUT:
            self._waiting -= HEADER.size + len(frame.payload)

    # -- the socket

    def _send(self, kind: Type, process: int, pairs: Sequence[tuple[str, str]]) -> None:
        self._out += encode(Frame(kind, process, payload(pairs)))
        self._flush()

    def _flush(self) -> None:
        """Send as much as the socket takes. A connection that is closed is noticed by whoever reads."""
        try:
            while self._out:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self._out.clear()

    def _read(self) -> bytes | None:
        """What has come, None when nothing has. Raises GuestGoneError at the end."""
        try:
            data = self._sock.recv(READ)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            data = b""
        if not data:
            raise GuestGoneError("the machine has ended")
        return data

    def _receive(self) -> None:
        for _ in range(READS):
            try:
                data = self._read()
            except GuestGoneError:
                if self._inbox:
                    return  # what it said last comes first
                raise
            if data is None:
                return
            for frame in self._decoder.feed(data):
                self._keep(frame)

    def _poll_socket(self, deadline: float, what: str) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | (select.POLLOUT if self._out else 0))
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise GuestError(f"the guest gave no {what} in time")
        self._flush()

    def _exchange(self, deadline: float, what: str) -> None:
        self._poll_socket(deadline, what)
        self._receive()

    def _skip_to(self, mark: bytes, deadline: float) -> None:
        """Drop bytes up to the frame whose payload begins with `mark`: they were meant for an earlier connection."""
        buffer = b""
        while (at := buffer.find(mark)) < HEADER.size:
            self._poll_socket(deadline, "WELCOME")
            buffer = buffer[-(len(mark) + HEADER.size) :] + (self._read() or b"")
        self._decoder = Decoder()
        self._inbox.clear()
        self._waiting = 0
        for frame in self._decoder.feed(buffer[at - HEADER.size :]):
            self._keep(frame)
