"""What a container has written."""

from __future__ import annotations

from pathlib import Path

from pico.containers.logs import logs
from pico.guest.protocol import Frame, Type, payload
from pico.vm import state
from tests.support.pico_records import a_record, write_log


def test_logs(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())
    write_log(
        machine,
        Frame(Type.TIME, 0, payload([("clock", "1000000000")])),
        Frame(Type.STDOUT, 1, b"one\ntwo\n"),
        Frame(Type.STDOUT, 2, b"of another process\n"),
        Frame(Type.STDERR, 1, b"three\n"),
    )
    assert list(logs(machine, follow=False, timestamps=False, tail=None)) == [
        ("stdout", b"one\ntwo\n"),
        ("stderr", b"three\n"),
    ]
    assert list(logs(machine, follow=True, timestamps=False, tail=2)) == [("stdout", b"two\n"), ("stderr", b"three\n")]
    stamped = b"1970-01-01T00:00:01.000000Z three\n"
    assert list(logs(machine, follow=False, timestamps=True, tail=1)) == [("stderr", stamped)]


def test_a_line_is_a_line_however_it_came(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())

    def at(second: int) -> Frame:
        return Frame(Type.TIME, 0, payload([("clock", str(second * 10**9))]))

    write_log(
        machine,
        Frame(Type.STDOUT, 1, b"first\n"), at(1), Frame(Type.STDOUT, 1, b"sec"), Frame(Type.STDERR, 1, b"er"), at(2),
        Frame(Type.STDOUT, 1, b"o\rn"), Frame(Type.STDOUT, 1, b"d\nthi"), Frame(Type.STDERR, 1, b"ror\n"),
        Frame(Type.STDOUT, 1, b"rd"),
    )  # fmt: skip
    tail = list(logs(machine, follow=False, timestamps=False, tail=3))
    assert tail == [("stdout", b"seco\rnd\n"), ("stderr", b"error\n"), ("stdout", b"third")]
    assert list(logs(machine, follow=False, timestamps=False, tail=0)) == []
    stamped = list(logs(machine, follow=False, timestamps=True, tail=None))
    assert [data.split(b"Z ")[1] for _, data in stamped] == [b"first\n", b"seco\rnd\n", b"error\n", b"third"]
    assert stamped[1][1].startswith(b"1970-01-01T00:00:01.000000Z ")
    assert list(logs(machine, follow=False, timestamps=True, tail=3)) == stamped[1:]


def test_the_latest_time(tmp_path: Path) -> None:
    machine = state.create(tmp_path, a_record())
    write_log(machine, Frame(Type.TIME, 0, payload([("clock", str(2**63 - 1))])), Frame(Type.STDOUT, 1, b"late\n"))
    assert next(logs(machine, follow=False, timestamps=True, tail=None))[1].startswith(b"2262-")
