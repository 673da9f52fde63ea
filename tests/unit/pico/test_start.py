"""What happens around the start of a machine: no memory, no QEMU, no answer, a template that is none any more."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from pico import launch, limits, template
from pico.errors import PicoError
from pico.hardware import Hardware
from pico.protocol import Decoder, Frame, Type, encode, payload
from pico.session import GuestError, GuestGoneError
from pico.state import Machine

HARDWARE = Hardware(memory=1, cpus=1, volumes=0, accel="tcg", machine="microvm", cpu="qemu64", append="")


class Agent(threading.Thread):
    """A guest on a machine's socket: it does with each connection what the list of its answers says."""

    def __init__(self, folder: Path, *answers: str) -> None:
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "port0"))
        self.listener.listen()
        self.answers, self.kept = answers, list[socket.socket]()

    def run(self) -> None:
        for answer in self.answers:
            connection, _ = self.listener.accept()
            self.kept.append(connection)
            (hello,) = Decoder().feed(connection.recv(4096))
            if answer == "welcome":
                words = {"nonce": hello.fields["nonce"], "version": "1", "state": "waiting"}
                connection.sendall(encode(Frame(Type.WELCOME, 0, payload(words.items()))))
            elif answer == "end":
                connection.close()


def test_hello_is_said_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "AGAIN", 0.1)
    agent = Agent(tmp_path, "nothing", "welcome")
    agent.start()
    session, welcome = launch.greet(tmp_path, "port0", 5)
    assert welcome.state == "waiting"
    session.close()


def test_a_machine_that_ends_is_not_asked_again(tmp_path: Path) -> None:
    Agent(tmp_path, "end").start()
    with pytest.raises(GuestGoneError):
        launch.greet(tmp_path, "port0", 5)


def test_an_agent_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "AGAIN", 0.05)
    Agent(tmp_path, *["nothing"] * 9).start()
    with pytest.raises(GuestError, match="no WELCOME in time"):
        launch.greet(tmp_path, "port0", 0.1)


def test_nothing_is_started_without_memory() -> None:
    total, available = limits.memory()
    assert 0 < available <= total
    with pytest.raises(PicoError, match="no memory for a machine of") as too_large:
        limits.require_memory(total + 1)
    assert str(total) in too_large.value.message
    with pytest.raises(PicoError, match="no memory left for another machine"):
        limits.require_memory(1, least=total + 1)


def test_groups_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROOT", tmp_path)
    for name in ("old", "young", "used"):
        (tmp_path / "memory" / limits.NAME / name).mkdir(parents=True)
    (tmp_path / "memory" / limits.NAME / "used" / "tasks").touch()
    for name in ("old", "used"):
        os.utime(tmp_path / "memory" / limits.NAME / name, (1, 1))
    assert limits.sweep(30) == ["old"]
    assert sorted(path.name for path in (tmp_path / "memory" / limits.NAME).iterdir()) == ["used", "young"]


def frozen(folder: Path) -> Path:
    """A template's folder."""
    for name, size in (("ram", 1 << 20), ("state", 100)):
        (folder / name).write_bytes(bytes(size))
        (folder / name).chmod(0o444)
    marks = template._marks({name: (folder / name).stat() for name in template.FILES})
    (folder / template.COMPLETE).write_text(json.dumps({"files": marks}))
    return folder


def test_a_template_that_was_changed_is_none(tmp_path: Path) -> None:
    assert template.is_valid(frozen(tmp_path), HARDWARE)
    before = (tmp_path / "state").stat()
    (tmp_path / "state").chmod(0o644)
    assert not template.is_valid(tmp_path, HARDWARE), "another may write it"
    (tmp_path / "state").write_bytes(bytes(100))
    (tmp_path / "state").chmod(0o444)
    os.utime(tmp_path / "state", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert not template.is_valid(tmp_path, HARDWARE), "its time is another"
    os.utime(tmp_path / "state", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert template.is_valid(tmp_path, HARDWARE)
    (tmp_path / template.COMPLETE).write_text("{")
    assert not template.is_valid(tmp_path, HARDWARE)


def test_unfinished_templates_are_found_and_given_up(tmp_path: Path) -> None:
    for name in (".one.12", ".two.34", "whole"):
        (tmp_path / "templates" / name).mkdir(parents=True)
    assert [path.name for path in template.unfinished(tmp_path, "one")] == [".one.12"]
    for path in template.unfinished(tmp_path):
        template.give_up(path)
    assert [path.name for path in (tmp_path / "templates").iterdir()] == ["whole"]
    assert Machine(tmp_path / "templates/whole").pid() is None
