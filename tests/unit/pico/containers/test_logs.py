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
