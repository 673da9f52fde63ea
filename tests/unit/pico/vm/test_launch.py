"""Connecting to the agent of a machine."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from pico.guest.errors import GuestError, GuestGoneError
from pico.guest.protocol import Decoder, Frame, Type, encode, payload
from pico.vm import launch


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
    session, welcome = launch.connect_agent(tmp_path, "port0", 5)
    assert welcome.state == "waiting"
    session.close()


def test_a_machine_that_ends_is_not_asked_again(tmp_path: Path) -> None:
    Agent(tmp_path, "end").start()
    with pytest.raises(GuestGoneError):
        launch.connect_agent(tmp_path, "port0", 5)


def test_an_agent_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "AGAIN", 0.05)
    Agent(tmp_path, *["nothing"] * 9).start()
    with pytest.raises(GuestError, match="no WELCOME in time"):
        launch.connect_agent(tmp_path, "port0", 0.1)
