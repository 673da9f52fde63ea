"""A client of the pico agent, written from docs/reference/pico-protocol.md alone. Standard library only."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterable

HELLO, SETUP, START, STDIN, SIGNAL, RESIZE, GRANT, SHUTDOWN, PING, ATTACH, REHEARSE = range(1, 12)
WELCOME, READY, STARTED, STDOUT, STDERR, EXITED, ERROR, PONG, CREDIT, DETACHED, TIME, REHEARSED = range(65, 77)
WINDOW = 256 << 10
Frame = tuple[int, int, bytes]  # kind, process, payload
UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net"]
SETTINGS = {
    "entropy": "5a" * 32,
    "clock": "1767225600000000000",
    "hostname": "box",
    "machine-id": "0123456789abcdef" * 2,
    "network": "none",
    "rootfs": "directory",
}


def encode(kind: int, process: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("<IBBH", len(payload), kind, 0, process) + payload


def records(pairs: Iterable[tuple[str, object]]) -> bytes:
    return b"".join(f"{key}={value}".encode() + b"\0" for key, value in pairs)


def fields(payload: bytes) -> dict[str, str]:
    return dict(record.decode().split("=", 1) for record in payload.split(b"\0")[:-1])


def frames_in(data: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames at the beginning, and what is left."""
    frames: list[Frame] = []
    while len(data) >= 8:
        length, kind, _, process = struct.unpack_from("<IBBH", data)
        if len(data) < 8 + length:
            break
        frames.append((kind, process, data[8 : 8 + length]))
        data = data[8 + length :]
    return frames, data


class Port:
    """The host's end of a port. Credit is given for all output at once, unless `stingy`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.buffer, self.stingy = sock, b"", False
        self.frames: list[Frame] = []
        self.sock.settimeout(20)

    def send(self, kind: int, process: int = 0, /, **pairs: object) -> None:
        self.sock.sendall(encode(kind, process, records(pairs.items())))

    def next(self) -> Frame:
        while not self.frames:
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError
            self.frames, self.buffer = frames_in(self.buffer + data)
        kind, process, payload = self.frames.pop(0)
        if kind in (STDOUT, STDERR) and not self.stingy:
            with contextlib.suppress(BrokenPipeError):
                self.send(GRANT, process, bytes=len(payload))
        return kind, process, payload

    def until(self, kind: int) -> tuple[bytes, int, bytes]:
        """Skip to a frame; the output before it."""
        out = b""
        while True:
            got, process, payload = self.next()
            if got == kind:
                return out, process, payload
            if got == ERROR:
                raise AssertionError(fields(payload))
            if got in (STDOUT, STDERR):
                out += payload

    def silent(self, seconds: float = 0.3) -> bool:
        self.sock.settimeout(seconds)
        try:
            return not self.frames and not self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(20)


class Machine:
    """The agent as the first process of new namespaces."""

    def __init__(self, agent: str, root: str, ports: int = 2) -> None:
        self.folder = tempfile.mkdtemp()
        pairs = [socket.socketpair() for _ in range(ports + 1)]
        inside = [pair[1].fileno() for pair in pairs]
        self.process = subprocess.Popen(
            [*UNSHARE, agent, "--test", self.folder, *map(str, inside)], pass_fds=inside, stdin=subprocess.DEVNULL
        )
        for _, end in pairs:
            end.close()
        self.log = b""
        self.log_socket = pairs[0][0]
        self.ports = [Port(pair[0]) for pair in pairs[1:]]
        self.root = root
        self.reader = threading.Thread(target=self.read_log)
        self.reader.start()

    def read_log(self) -> None:
        while data := self.log_socket.recv(1 << 16):
            self.log += data

    def setup(self, **more: str) -> None:
        self.ports[0].send(HELLO, nonce="n", version="1")
        self.ports[0].send(SETUP, **{**SETTINGS, "root": self.root, **more})

    def start(self, *words: str, number: int = 1, port: int = 0, **more: str | list[str]) -> None:
        pairs: list[tuple[str, object]] = [("arg", word) for word in words]
        for key, value in more.items():
            pairs += [(key.rstrip("_"), each) for each in (value if isinstance(value, list) else [value])]
        self.ports[port].sock.sendall(encode(START, number, records(pairs)))

    def wait(self) -> list[Frame]:
        """The machine is off; its log as frames without the times."""
        code = self.process.wait(20)
        self.reader.join(20)
        assert code == 0, code
        frames, rest = frames_in(self.log)
        assert not rest, rest
        return [frame for frame in frames if frame[0] != TIME]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for port in self.ports:
            port.sock.close()
        self.reader.join(20)
        self.log_socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)
