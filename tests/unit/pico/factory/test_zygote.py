"""Asking a zygote for a copy, without one: what is sent, what the answers mean."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from photonbuild.files import write_json
from pico.factory import zygote
from pico.vm import cgroups
from pico.vm.launch import CALLS, FILES
from pico.vm.qemu import Hardware
from pico.vm.state import Machine

HARDWARE = Hardware(memory=64, cpus=1, volumes=0, accel="tcg", machine="microvm", cpu="qemu64", append="")
OLD = [[7, 1000 + number] for number in range(11)]


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Machine, Machine, Path]:
    """The folder of a zygote, of its copy to be, and an image."""
    monkeypatch.setattr(cgroups, "create", lambda *_: [])
    monkeypatch.setattr(cgroups, "own", lambda _: [])
    for name in ("zygote", "machine"):
        (tmp_path / name).mkdir()
    image = tmp_path / "image"
    image.write_bytes(b"disk")
    write_json(tmp_path / "zygote" / FILES, OLD)
    return Machine(tmp_path / "zygote"), Machine(tmp_path / "machine"), image


def answering(folder: Path, answer: Callable[[bytes, list[int]], bytes]) -> threading.Thread:
    """Something that answers one request."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.bind(str(folder / CALLS))
    sock.listen()

    def serve() -> None:
        connection, _ = sock.accept()
        packet, files, _, _ = socket.recv_fds(connection, 1024, 32)
        connection.send(answer(packet, files))
        for file in files:
            os.close(file)
        connection.close()
        sock.close()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_request(machines: tuple[Machine, Machine, Path]) -> None:
    parent, machine, image = machines
    seen: list[tuple[int, ...]] = []

    def answer(packet: bytes, files: list[int]) -> bytes:
        seen.append(struct.unpack(f"=II{2 * len(files)}Q", packet))
        assert os.pread(files[-3], 10, 0) == b"disk"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(files[-2], b"1", 0)
        os.pwrite(files[-1], b"4711", 0)
        return struct.pack("=ii", 0, 0)

    thread = answering(parent.folder, answer)
    zygote.copy(parent, machine, HARDWARE, image, cpus=None)
    thread.join()
    assert seen == [(0, len(OLD) + 1, *(number for pair in (*OLD, (0, 0)) for number in pair))]
    assert (machine.folder / "alive").read_bytes() == b"4711"
    assert sorted(path.name for path in machine.folder.iterdir()) == [
        "alive", "console", "log", "net", "port0", "port1", "port2", "port3", "qemu.log", "qmp",
    ]  # fmt: skip


def test_an_answer_that_is_an_error(machines: tuple[Machine, Machine, Path]) -> None:
    parent, machine, image = machines
    thread = answering(parent.folder, lambda *_: struct.pack("=ii", 1, 3))
    with pytest.raises(zygote.NoCopyError, match="clone: Operation not permitted"):
        zygote.copy(parent, machine, HARDWARE, image, cpus=None)
    thread.join()


def test_an_answer_that_is_none(machines: tuple[Machine, Machine, Path]) -> None:
    parent, machine, image = machines
    thread = answering(parent.folder, lambda *_: b"x")
    with pytest.raises(zygote.NoCopyError, match="gone"):
        zygote.copy(parent, machine, HARDWARE, image, cpus=None)
    thread.join()


def test_nobody_there(machines: tuple[Machine, Machine, Path]) -> None:
    parent, machine, image = machines
    with pytest.raises(zygote.NoCopyError, match="does not run"):
        zygote.copy(parent, machine, HARDWARE, image, cpus=None)
    (parent.folder / FILES).unlink()
    with pytest.raises(zygote.NoCopyError, match="gone"):
        zygote.copy(parent, Machine(image.parent / "other"), HARDWARE, image, cpus=None)


def test_a_zygote_of_another_session(machines: tuple[Machine, Machine, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends that session would end its copies."""
    parent, machine, image = machines
    monkeypatch.setattr(cgroups, "own", lambda _: None)
    with pytest.raises(zygote.NoCopyError, match="another session") as caught:
        zygote.copy(parent, machine, HARDWARE, image, cpus=None)
    assert not caught.value.lost
