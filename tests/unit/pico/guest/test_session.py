"""The host's end of the protocol against peers in this process: torn frames, windows, binary data, bad answers."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pico.guest.errors import GuestError, GuestGoneError
from pico.guest.messages import Process, Setup
from pico.guest.protocol import MAX_PAYLOAD, WINDOW, Decoder, Exit, Frame, ProtocolError, Type, encode, payload
from pico.guest.session import Session

Peer = Callable[["Guest"], None]


class Guest:
    """The other end of a session, as a test wants it. `frames` are what came, each once."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.decoder = Decoder()
        self.frames = self.arriving()

    def arriving(self) -> Iterator[Frame]:
        while data := self.sock.recv(1 << 16):
            yield from self.decoder.feed(data)

    def expect(self, kind: Type) -> Frame:
        frame = next(self.frames)
        assert frame.type == kind
        return frame

    def say(self, kind: int, process: int = 0, **fields: str) -> None:
        self.sock.sendall(encode(Frame(kind, process, payload(fields.items()))))

    def give(self, data: bytes, kind: Type = Type.STDOUT) -> None:
        self.sock.sendall(encode(Frame(kind, 1, data)))

    def welcome(self) -> None:
        fields = self.expect(Type.HELLO).fields
        self.say(Type.WELCOME, nonce=fields["nonce"], version="1", agent="1.0", kernel="6.12", state="waiting")


@contextlib.contextmanager
def talking(peer: Peer) -> Iterator[Session]:
    """A session whose other end runs `peer` in a thread; its failure is the test's."""
    ours, theirs = socket.socketpair()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with theirs:
                peer(Guest(theirs))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with ours:
            yield Session(ours)
    finally:
        thread.join(10)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


SETUP = Setup(entropy=bytes(32), hostname="box", machine_id="0" * 32, clock=5)


def test_the_whole_way_without_waiting_in_between() -> None:
    def peer(guest: Guest) -> None:
        guest.welcome()
        assert guest.expect(Type.SETUP).fields["hostname"] == "box"
        start = guest.expect(Type.START)
        assert start.process == 1
        assert start.fields["arg"] == "true"
        guest.say(Type.READY, address="10.0.2.15/24")
        guest.say(Type.STARTED, 1, pid="42")
        guest.give(b"out")
        guest.give(b"err", Type.STDERR)
        guest.say(Type.EXITED, 1, code="3")

    with talking(peer) as session:
        welcome = session.hello(5)
        assert (welcome.version, welcome.state) == (1, "waiting")
        session.setup(SETUP)
        session.start(Process(args=["true"]))
        assert session.ready(5) == {"address": "10.0.2.15/24"}
        assert session.started(5)["pid"] == "42"
        out, err = os.pipe(), os.pipe()
        assert session.pump(None, out[1], err[1]) == Exit(code=3)
        assert (os.read(out[0], 10), os.read(err[0], 10)) == (b"out", b"err")
        for fd in (*out, *err):
            os.close(fd)


def test_hello_skips_what_an_earlier_connection_left() -> None:
    def peer(guest: Guest) -> None:
        nonce = guest.expect(Type.HELLO).fields["nonce"]
        old = encode(Frame(Type.STDOUT, 1, b"x" * 5000))[100:] + encode(Frame(Type.PONG))
        fields = {"nonce": nonce, "version": "1", "agent": "a", "kernel": "k", "state": "ready"}
        answer = encode(Frame(Type.WELCOME, 0, payload(fields.items())))
        stream = old + answer + encode(Frame(Type.STARTED, 1, b"pid=9\0"))
        for at in range(0, len(stream), 13):
            guest.sock.sendall(stream[at : at + 13])

    with talking(peer) as session:
        assert session.hello(5).state == "ready"
        assert session.started(5) == {"pid": "9"}


def echo(guest: Guest) -> None:
    """What cat does, with the windows of both directions kept and checked; frames torn at random."""
    generator = random.Random(1)
    guest.welcome()
    guest.expect(Type.START)
    held, credit, granted = b"", WINDOW, WINDOW
    ended = False
    while not ended or held:
        while held and credit:
            part, held = held[: min(credit, 30000)], held[min(credit, 30000) :]
            credit -= len(part)
            stream = encode(Frame(Type.STDOUT, 1, part))
            cut = generator.randrange(len(stream))
            guest.sock.sendall(stream[:cut])
            guest.sock.sendall(stream[cut:])
            granted += len(part)
            guest.say(Type.CREDIT, 1, bytes=str(len(part)))
        if ended and not held:
            break
        frame = next(guest.frames)
        if frame.type == Type.STDIN:
            granted -= len(frame.payload)
            assert granted >= 0, "more than the window"
            held += frame.payload
            ended = ended or not frame.payload
        elif frame.type == Type.WINDOW:
            credit += int(frame.fields["bytes"])
            assert credit <= WINDOW
    guest.say(Type.EXITED, 1, code="0")


@pytest.mark.parametrize("size", [0, 1, 5000, 1 << 20, (3 << 20) + 1])
def test_binary_data_comes_back_whole(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "in").write_bytes(data)
    with (
        (tmp_path / "in").open("rb") as source,
        (tmp_path / "out").open("wb") as target,
        talking(echo) as session,
    ):
        session.hello(5)
        session.start(Process(args=["cat"], stdin=True))
        assert session.pump(source.fileno(), target.fileno(), target.fileno()) == Exit(code=0)
    assert (tmp_path / "out").read_bytes() == data


def test_a_megabyte_through_pipes_with_a_slow_reader_does_not_lock_up() -> None:
    data = random.Random(2).randbytes(1 << 20)
    source, target = os.pipe(), os.pipe()
    got = bytearray()

    def feed() -> None:
        with os.fdopen(source[1], "wb") as pipe:
            pipe.write(data)

    def drain() -> None:
        with os.fdopen(target[0], "rb", buffering=0) as pipe:
            while part := pipe.read(1000):
                got.extend(part)

    threads = [threading.Thread(target=feed), threading.Thread(target=drain)]
    for thread in threads:
        thread.start()
    with talking(echo) as session:
        session.hello(5)
        session.start(Process(args=["cat"], stdin=True))
        assert session.pump(source[0], target[1], target[1]) == Exit(code=0)
    os.close(target[1])
    for thread in threads:
        thread.join(10)
    os.close(source[0])
    assert bytes(got) == data


def test_no_credit_before_the_output_is_handed_on() -> None:
    """A reader that takes nothing holds the guest at its window; when it goes on, so does the guest."""
    target = os.pipe()
    go = threading.Event()
    sent = 0

    def peer(guest: Guest) -> None:
        nonlocal sent
        guest.welcome()
        guest.expect(Type.START)
        for _ in range(WINDOW // MAX_PAYLOAD):
            guest.give(bytes(MAX_PAYLOAD))
        guest.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            while True:
                data = guest.sock.recv(1 << 16)
                sent += sum(int(frame.fields["bytes"]) for frame in guest.decoder.feed(data))
        go.set()
        assert sent <= 1 << 16, "no more than the pipe takes"
        guest.sock.settimeout(10)
        while sent < WINDOW:
            data = guest.sock.recv(1 << 16)
            sent += sum(int(frame.fields["bytes"]) for frame in guest.decoder.feed(data))
        guest.say(Type.EXITED, 1, signal="15")

    def drain() -> None:
        assert go.wait(10)
        with os.fdopen(target[0], "rb", buffering=0) as pipe:
            while pipe.read(1 << 16):
                pass

    thread = threading.Thread(target=drain)
    thread.start()
    with talking(peer) as session:
        session.hello(5)
        session.start(Process(args=["yes"]))
        assert session.pump(None, target[1], target[1]) == Exit(signal=15)
    os.close(target[1])
    thread.join(10)
    assert sent == WINDOW


def test_attach_begins_without_credit_for_stdin() -> None:
    source, sink = os.pipe(), os.pipe()
    os.write(source[1], b"abc")

    def peer(guest: Guest) -> None:
        guest.welcome()
        assert guest.expect(Type.ATTACH).process == 1
        guest.say(Type.STARTED, 1, pid="7")
        guest.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            guest.sock.recv(1)
        guest.sock.settimeout(10)
        guest.say(Type.CREDIT, 1, bytes="2")
        assert next(guest.arriving()).payload == b"ab"
        guest.say(Type.DETACHED, 1)

    with talking(peer) as session:
        session.hello(5)
        session.attach()
        assert session.pump(source[0], sink[1], sink[1]) is None
    for fd in (*source, *sink):
        os.close(fd)


def test_signals_and_window_sizes_while_output_is_stuck() -> None:
    wakeup, sink = os.pipe(), os.pipe()

    def peer(guest: Guest) -> None:
        guest.welcome()
        guest.expect(Type.START)
        guest.give(bytes(3 * MAX_PAYLOAD // 4))
        guest.give(bytes(3 * MAX_PAYLOAD // 4))
        os.write(wakeup[1], bytes([signal.SIGWINCH, signal.SIGTERM]))
        frames = (frame for frame in guest.frames if frame.type != Type.WINDOW)
        assert next(frames).fields == {"rows": "50", "columns": "132"}
        assert next(frames).fields == {"number": "15"}
        guest.say(Type.EXITED, 1, signal="15")
        left = 2 * (3 * MAX_PAYLOAD // 4)
        while left:  # the pipe may not have been full yet
            left -= len(os.read(sink[0], left))

    with talking(peer) as session:

        def on_wakeup(numbers: bytes) -> None:
            assert numbers == bytes([signal.SIGWINCH, signal.SIGTERM])
            session.resize(50, 132)
            session.signal(15)

        session.hello(5)
        session.start(Process(args=["top"], tty=True))
        ended = session.pump(None, sink[1], sink[1], wakeup_fd=wakeup[0], on_wakeup=on_wakeup)
        assert ended == Exit(signal=15)
    for fd in (*wakeup, *sink):
        os.close(fd)


def test_a_program_that_is_not_there() -> None:
    def peer(guest: Guest) -> None:
        guest.welcome()
        guest.expect(Type.START)
        guest.say(Type.ERROR, 1, what="start", code="ENOENT", message="no such program: /bin/nothing")

    with talking(peer) as session:
        session.hello(5)
        session.start(Process(args=["/bin/nothing"]))
        with pytest.raises(GuestError, match="no such program") as caught:
            session.pump(None, 1, 2)
        assert (caught.value.what, caught.value.code, caught.value.process) == ("start", "ENOENT", 1)


def test_output_comes_out_before_the_end_of_the_machine_is_told(tmp_path: Path) -> None:
    def peer(guest: Guest) -> None:
        guest.welcome()
        guest.expect(Type.START)
        guest.give(b"last words")

    with (tmp_path / "out").open("wb") as target, talking(peer) as session:
        session.hello(5)
        session.start(Process(args=["sh"]))
        with pytest.raises(GuestGoneError):
            session.pump(None, target.fileno(), target.fileno())
    assert (tmp_path / "out").read_bytes() == b"last words"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "ended"),
        (b"\xff" * 20, "ended"),
    ],
)
def test_no_welcome(answer: bytes, message: str) -> None:
    def peer(guest: Guest) -> None:
        guest.expect(Type.HELLO)
        guest.sock.sendall(answer)

    with talking(peer) as session, pytest.raises(GuestGoneError, match=message):
        session.hello(5)


def test_a_rehearsal() -> None:
    def peer(guest: Guest) -> None:
        guest.welcome()
        guest.expect(Type.REHEARSE)
        guest.say(Type.REHEARSED)
        guest.expect(Type.REHEARSE)
        guest.say(Type.ERROR, what="rehearsal", code="ENOENT", message="/dev/vda")

    with talking(peer) as session:
        session.hello(5)
        session.rehearse(5)
        with pytest.raises(GuestError, match="/dev/vda"):
            session.rehearse(5)


def test_silence_and_nonsense() -> None:
    done = threading.Event()

    def peer(guest: Guest) -> None:
        guest.welcome()
        guest.expect(Type.PING)
        assert done.wait(10)
        guest.sock.sendall(b"\xff" * 20)

    with talking(peer) as session:
        session.hello(5)
        with pytest.raises(GuestError, match="gave no PONG in time"):
            session.ping(0.1)
        done.set()
        with pytest.raises(ProtocolError, match="not a frame"):
            session.ready(5)


@pytest.mark.parametrize("kind", [Type.STDOUT, Type.STDERR])
def test_a_guest_that_sends_without_credit(kind: Type) -> None:
    """It takes no more of our memory than its credit is."""

    def peer(guest: Guest) -> None:
        guest.welcome()
        guest.expect(Type.START)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(64):
                guest.give(bytes(MAX_PAYLOAD), kind)

    with talking(peer) as session:
        session.hello(5)
        session.start(Process(args=["yes"]))
        with pytest.raises(GuestError, match="more than it may"):
            session.started(5)
        assert sum(len(frame.payload) for frame in session._inbox) <= WINDOW
        session.close()


def test_output_of_what_nobody_started_is_dropped() -> None:
    def peer(guest: Guest) -> None:
        guest.welcome()
        for _ in range(40):
            guest.give(bytes(MAX_PAYLOAD))
        guest.expect(Type.PING)
        guest.say(Type.PONG)

    with talking(peer) as session:
        session.hello(5)
        session.ping(5)
        assert not session._inbox


def test_frames_that_nobody_asked_for_have_an_end() -> None:
    def peer(guest: Guest) -> None:
        guest.welcome()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(64):
                guest.sock.sendall(encode(Frame(Type.READY, 0, b"a=" + bytes(60000))))

    with talking(peer) as session:
        session.hello(5)
        with pytest.raises(GuestError, match="more than it may"):
            session.started(5)
        session.close()


def test_credit_for_stdin_has_an_end() -> None:
    def peer(guest: Guest) -> None:
        guest.welcome()
        guest.expect(Type.START)
        guest.say(Type.CREDIT, 1, bytes="9" * 5000)

    with talking(peer) as session, open(os.devnull, "wb") as null:
        session.hello(5)
        session.start(Process(args=["cat"]))
        with pytest.raises(ProtocolError, match="no number"):
            session.pump(None, null.fileno(), null.fileno())


def test_what_a_guest_says_cannot_move_our_cursor() -> None:
    def peer(guest: Guest) -> None:
        guest.welcome()
        guest.say(Type.ERROR, 1, what="start", code="ENOENT", message="\x1b[2Jgone\n\udcff")

    with talking(peer) as session:
        session.hello(5)
        with pytest.raises(GuestError) as caught:
            session.started(5)
        assert caught.value.message == "?[2Jgone??"
