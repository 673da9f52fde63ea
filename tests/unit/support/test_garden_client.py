"""The Garden client against a peer that plays back the documented messages: what is sent, what is made of answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests.support import garden_fixtures as wire
from tests.support.garden_client import Garden, GardenError, Messages, StreamError


@dataclass
class Duplex:
    reader: BinaryIO
    writer: Any

    def readline(self) -> bytes:
        return self.reader.readline()

    def write(self, data: bytes) -> None:
        self.writer.write(data)


Script = Callable[[Duplex], object]


@dataclass
class Peer:
    """A server that answers each connection with the next script and notes what it was sent."""

    path: Path
    listener: socket.socket
    heads: list[list[str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def play(self, *scripts: Script) -> None:
        threading.Thread(target=self.serve, args=(scripts,), daemon=True).start()

    def serve(self, scripts: tuple[Script, ...]) -> None:
        for script in scripts:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.answer, args=(connection, script), daemon=True).start()

    def answer(self, connection: socket.socket, script: Script) -> None:
        with connection, connection.makefile("rwb", buffering=0) as stream:
            reader = connection.makefile("rb")
            head = []
            while line := reader.readline().decode().rstrip():
                head.append(line)
            self.heads.append(head)
            self.bodies.append(body_of(head, reader))
            script(Duplex(reader, stream))


def body_of(head: list[str], reader: BinaryIO) -> bytes:
    fields = dict(line.lower().split(": ", 1) for line in head[1:])
    if fields.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(reader.readline(), 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
        return body
    return reader.read(int(fields.get("content-length", "0")))


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    path = tmp_path / "peer.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        made = Peer(path, listener)
        yield made


def reply(body: bytes, status: int = 200) -> Script:
    def script(stream: Duplex) -> None:
        stream.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    return script


def hijacked(*messages: Any, first: bytes = b"", reads: int = 0) -> Script:
    """A stream without length: `messages` as JSON lines after reading as many lines as `reads` says, or raw bytes."""

    def script(stream: Duplex) -> None:
        stream.write(b"HTTP/1.1 200 OK\r\n\r\n" + first)
        for _ in range(reads):
            got.append(json.loads(stream.readline()))
        for message in messages:
            stream.write(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")

    got: list[Any] = []
    script.got = got  # type: ignore[attr-defined]
    return script


@pytest.mark.parametrize("exchange", wire.EXCHANGES, ids=lambda exchange: exchange.call)
def test_documented_exchange(peer: Peer, exchange: wire.Exchange) -> None:
    peer.play(reply(json.dumps(exchange.reply).encode()))
    garden = Garden(peer.path)
    assert getattr(garden, exchange.call)(*exchange.arguments) == exchange.result
    assert peer.heads[0][0] == f"{exchange.method} {exchange.target} HTTP/1.1"
    if exchange.sent is None:
        assert peer.bodies == [b""]
    else:
        assert json.loads(peer.bodies[0]) == exchange.sent
        assert "Content-Type: application/json" in peer.heads[0]
    assert [seen.status for seen in garden.seen] == [200]


@pytest.mark.parametrize("failure", wire.FAILURES, ids=lambda failure: failure.kind or failure.message)
def test_documented_failure(peer: Peer, failure: wire.Failure) -> None:
    peer.play(reply(failure.body.encode(), failure.status))
    garden = Garden(peer.path)
    with pytest.raises(GardenError) as caught:
        garden.destroy("foo")
    assert (caught.value.kind, caught.value.message) == (failure.kind, failure.message)
    assert caught.value.status == failure.status
    assert caught.value.is_documented == failure.body.startswith("{")


def test_every_call_has_a_route_and_every_route_a_call() -> None:
    garden = Garden("/nowhere")
    values = {"handle": "a/b c", "pid": "p", "streamid": "1", "key": "ü"}
    for name, route in wire.ROUTES.items():
        target = garden.target(name, None, **values)
        assert ":" not in target and " " not in target and target.count("/") == route.path.count("/")
    assert garden.target("Info", None, handle="a/b") == "/containers/a%2Fb/info"


def test_files_go_in_as_chunks_and_come_out_to_the_end(peer: Peer) -> None:
    peer.play(reply(b""), hijacked(b"hello-world!"))
    garden = Garden(peer.path)
    garden.stream_in("foo-handle", "/bar", iter([b"chunk-1", b"", b"chunk-2"]), user="alice")
    assert garden.stream_out("foo-handle", "/bar", user="frank") == b"hello-world!"
    assert peer.heads[0][0] == "PUT /containers/foo-handle/files?user=alice&destination=%2Fbar HTTP/1.1"
    assert peer.heads[1][0] == "GET /containers/foo-handle/files?user=frank&source=%2Fbar HTTP/1.1"
    assert peer.bodies[0] == b"chunk-1chunk-2"


def test_a_process_to_its_end(peer: Peer) -> None:
    control = hijacked(wire.EXITED, first=json.dumps(wire.STARTED).encode(), reads=4)
    peer.play(control, hijacked(b"stdout ", b"data"), hijacked(b"stderr data"))
    garden = Garden(peer.path)
    spec = {"path": "lol", "args": ["arg1", "arg2"], "dir": "/some/dir", "user": "root"}
    with garden.run("foo-handle", spec) as process:
        assert (process.id, process.stream_id) == ("process-handle", "123")
        process.write("stdin data")
        process.close_stdin()
        process.terminate()
        process.set_tty(80, 24)
        assert process.wait(5) == 3
        assert (process.stdout, process.stderr) == (b"stdout data", b"stderr data")
    assert json.loads(peer.bodies[0]) == spec
    stream = "/containers/foo-handle/processes/process-handle/attaches/123"
    assert [head[0] for head in peer.heads[1:]] == [f"GET {stream}/stdout HTTP/1.1", f"GET {stream}/stderr HTTP/1.1"]
    assert control.got == [wire.WRITTEN, wire.CLOSED, wire.TERMINATED, wire.RESIZED]  # type: ignore[attr-defined]


def test_the_head_of_a_hijacked_stream_says_nothing_of_its_body(peer: Peer) -> None:
    lines = json.dumps(wire.STARTED) + "\n" + json.dumps(wire.EXITED) + "\n"
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    peer.play(lambda stream: stream.write((head + lines).encode()))
    with Garden(peer.path).attach("foo-handle", "process-handle", streams=()) as process:
        assert process.wait(5) == 3
    assert peer.heads[0][0] == "GET /containers/foo-handle/processes/process-handle HTTP/1.1"


@pytest.mark.parametrize(("last", "error"), [(wire.FAILED, "oh no!"), (b"", "ended before"), (b"]oops\n", "no JSON")])
def test_a_process_that_ends_badly(peer: Peer, last: Any, error: str) -> None:
    peer.play(hijacked(wire.STARTED, last))
    with Garden(peer.path).run("foo", {"path": "lol"}, streams=()) as process, pytest.raises(StreamError, match=error):
        process.wait(5)


def test_a_process_that_is_refused(peer: Peer) -> None:
    peer.play(reply(b'{"Type":"ExecutableNotFoundError","Message":"no lol here"}', 500))
    with pytest.raises(GardenError, match="no lol here") as caught:
        Garden(peer.path).run("foo", {"path": "lol"})
    assert caught.value.kind == "ExecutableNotFoundError"


def test_messages_may_be_cut_anywhere() -> None:
    values = [wire.STARTED, {"data": 'ünï "}{" \n'}, wire.EXITED]
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()
    for size in (1, 2, 7, len(text)):
        messages = Messages()
        found = []
        for start in range(0, len(text), size):
            messages.feed(text[start : start + size])
            while (value := messages.take()) is not None:
                found.append(value)
        assert found == values
