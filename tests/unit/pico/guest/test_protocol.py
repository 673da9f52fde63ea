"""Frames, records and the log of a pico machine; bad input above all."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pico.guest.protocol import (
    HEADER,
    MAX_PAYLOAD,
    Decoder,
    Exit,
    Frame,
    LogReader,
    ProtocolError,
    Type,
    encode,
    payload,
    read_log,
    records,
)


def test_bytes_of_a_frame() -> None:
    assert encode(Frame(Type.SIGNAL, 0x0102, b"number=9\0")) == b"\x09\0\0\0\x05\0\x02\x01number=9\0"


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 1000, 1 << 20])
def test_frames_come_whole_however_the_bytes_are_torn(size: int) -> None:
    generator = random.Random(size)
    frames = [Frame(number % 80, number, generator.randbytes(number * 31 % 5000)) for number in range(60)]
    frames.append(Frame(Type.STDIN, 1, bytes(MAX_PAYLOAD)))
    stream = b"".join(encode(frame) for frame in frames)
    decoder = Decoder()
    got = [frame for at in range(0, len(stream), size) for frame in decoder.feed(stream[at : at + size])]
    assert got == frames
    assert decoder.pending == 0


def test_a_truncated_frame_stays_pending() -> None:
    decoder = Decoder()
    assert list(decoder.feed(encode(Frame(Type.PING)) + encode(Frame(Type.STDIN, 1, b"abc"))[:-1])) == [
        Frame(Type.PING)
    ]
    assert decoder.pending == HEADER.size + 2


@pytest.mark.parametrize(
    "header",
    [HEADER.pack(MAX_PAYLOAD + 1, Type.STDIN, 0, 1), HEADER.pack(0xFFFFFFFF, 1, 0, 0), HEADER.pack(0, 1, 7, 0)],
)
def test_what_cannot_be_a_header_is_refused_after_the_frames_before_it(header: bytes) -> None:
    decoder = Decoder()
    stream = decoder.feed(encode(Frame(Type.PONG)) + header)
    assert next(stream) == Frame(Type.PONG)
    with pytest.raises(ProtocolError, match="not a frame"):
        next(stream)


def test_a_type_of_a_later_version_is_a_frame() -> None:
    assert list(Decoder().feed(encode(Frame(200, 3, b"?")))) == [Frame(200, 3, b"?")]


def test_records_keep_order_repeats_and_any_byte() -> None:
    pairs = [("arg", ""), ("arg", "a=b"), ("env", "NAME=zwölf\n"), ("arg", "\udcff")]
    assert payload(pairs) == b"arg=\0arg=a=b\0env=NAME=zw\xc3\xb6lf\n\0arg=\xff\0"
    assert records(payload(pairs)) == pairs
    assert records(b"") == []


@pytest.mark.parametrize("bad", [b"key=value", b"\0", b"novalue\0", b"=value\0", b"a=b\0\0"])
def test_bad_records(bad: bytes) -> None:
    with pytest.raises(ProtocolError):
        records(bad)


@pytest.mark.parametrize("pairs", [[("arg", "a\0b")], [("arg", "x" * MAX_PAYLOAD)]])
def test_records_that_cannot_be_sent(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ProtocolError):
        payload(pairs)


@pytest.mark.parametrize(
    ("text", "ended", "status"),
    [(b"code=0\0", Exit(code=0), 0), (b"code=7\0", Exit(code=7), 7), (b"signal=9\0", Exit(signal=9), 137)],
)
def test_exit(text: bytes, ended: Exit, status: int) -> None:
    assert Exit.of(Frame(Type.EXITED, 1, text)) == ended
    assert ended.status == status


@pytest.mark.parametrize("text", [b"", b"code=-1\0", b"state=x\0", b"code\0"])
def test_exit_that_says_nothing(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        Exit.of(Frame(Type.EXITED, 1, text))


LOG = [
    Frame(Type.TIME, 0, b"clock=1000\0"),
    Frame(Type.STDOUT, 1, b"one\n"),
    Frame(Type.STDERR, 1, b"two\n"),
    Frame(250, 0, b"later version"),
    Frame(Type.TIME, 0, b"clock=2000\0"),
    Frame(Type.EXITED, 1, b"code=3\0"),
]


def test_log_has_the_time_of_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(map(encode, LOG)))
    assert [(entry.kind, entry.clock) for entry in read_log(path)] == [
        ("stdout", 1000),
        ("stderr", 1000),
        ("exited", 2000),
    ]


def test_log_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    reader = LogReader(path)
    assert list(reader.entries()) == []
    stream = b"".join(map(encode, LOG))
    kinds = []
    for end in range(0, len(stream) + 1, 5):
        path.write_bytes(stream[:end])
        kinds += [entry.kind for entry in reader.entries()]
    path.write_bytes(stream)
    kinds += [entry.kind for entry in reader.entries()]
    assert kinds == ["stdout", "stderr", "exited"]


@pytest.mark.parametrize(
    "spoil", [lambda data: b"hello world, this is text\n" + data, lambda data: encode(Frame(Type.TIME)) + data]
)
def test_file_that_is_no_log(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "log"
    path.write_bytes(spoil(encode(LOG[1])))
    with pytest.raises(ProtocolError):
        list(read_log(path))
