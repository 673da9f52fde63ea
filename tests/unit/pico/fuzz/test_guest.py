"""All that a guest says: frames, records, its log, one conversation. Nothing but ProtocolError comes of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pico.containers.logs import logs
from pico.guest.messages import Process
from pico.guest.protocol import MAX_PAYLOAD, WINDOW, Decoder, Exit, Frame, ProtocolError, Type, encode, records
from pico.guest.session import INBOX, READ, READS, Session
from pico.vm import state
from pico.vm.state import Machine
from tests.support.fuzz import for_a_while, mutated
from tests.support.pico_records import a_record

KEYS = ["code", "signal", "bytes", "clock", "message", "what", "pid", "version", "state"]
VALUES = st.one_of(st.integers().map(str), st.text(), st.sampled_from(["9" * 5000, "-0", "٣", "", "nan"]))
RECORDS = st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=4)


def packed(pairs: list[tuple[str, str]]) -> bytes:
    text = b"".join(f"{key}={value}".encode(errors="surrogatepass") + b"\0" for key, value in pairs)
    return text[:MAX_PAYLOAD]


FRAMES = st.lists(
    st.builds(
        lambda kind, process, payload: encode(Frame(kind, process, payload)),
        st.one_of(st.sampled_from([int(kind) for kind in Type]), st.integers(0, 255)),
        st.sampled_from([0, 1, 2, 65535]),
        st.one_of(RECORDS.map(packed), st.binary(max_size=300), st.just(bytes(MAX_PAYLOAD))),
    ),
    max_size=12,
).map(b"".join)
STREAMS = st.one_of(FRAMES, mutated("pico-frames"), st.binary(max_size=400))


@for_a_while
@given(STREAMS, st.integers(1, 9))
def test_frames(stream: bytes, step: int) -> None:
    decoder, size = Decoder(), 0
    with contextlib.suppress(ProtocolError):
        for at in range(0, len(stream), step):
            for frame in decoder.feed(stream[at : at + step]):
                size += 8 + len(frame.payload)
                with contextlib.suppress(ProtocolError):
                    records(frame.payload)
                with contextlib.suppress(ProtocolError):
                    assert 0 <= Exit.of(frame).status <= 255
            assert decoder.pending <= MAX_PAYLOAD + 8 + step
        assert size + decoder.pending == len(stream)


@for_a_while
@given(STREAMS)
def test_a_log(stream: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = state.create(Path(folder), a_record())
        machine.log.write_bytes(stream)
        assert 0 <= machine.exit_code() <= 255
        for tail, stamps in ((None, True), (2, False), (1, True)):
            with contextlib.suppress(ProtocolError):
                list(logs(machine, follow=False, timestamps=stamps, tail=tail))


@for_a_while
@given(STREAMS, st.sampled_from(["started", "ready", "pump", "ping", "hello"]))
def test_a_conversation(stream: bytes, wanted: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(os.devnull, "wb") as null:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        theirs.setblocking(False)
        session = Session(ours)
        session.start(Process(args=["true"]))
        with contextlib.suppress(BlockingIOError):
            theirs.send(stream)
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ProtocolError):
            if wanted == "pump":
                session.pump(None, null.fileno(), null.fileno())
            else:
                getattr(session, wanted)(0.01)
        assert sum(len(frame.payload) for frame in session._inbox) <= WINDOW + INBOX + READS * READ


def test_a_machine_is_what_its_file_says(tmp_path: Path) -> None:
    """The one file that QEMU has of this: it cannot be written by it, and is no number by accident."""
    for text in (b"", b"x", b"-1", b"1 2", b"\xd9\xa3", b"9" * 40, b"+5", b"5_0"):
        assert isinstance(pid_of(tmp_path, text), int)


def pid_of(folder: Path, text: bytes) -> int | None:
    (folder / "alive").write_bytes(text)
    with (folder / "alive").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        return Machine(folder).pid()
