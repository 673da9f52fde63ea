"""The client of QEMU's machine protocol, against an end in this process."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from photonbuild.errors import PhotonbuildError, VerifyError
from photonbuild.machines.qmp import Qmp

GREETING: dict[str, Any] = {"QMP": {"version": {}, "capabilities": []}}
Answer = Callable[[dict[str, Any]], list[dict[str, Any]]]


@contextmanager
def qemu(answer: Answer, **options: Any) -> Iterator[tuple[Qmp, list[dict[str, Any]]]]:
    """A client, and the requests that came; `answer` says what each is answered by, nothing ends the connection."""
    ours, theirs = socket.socketpair()
    requests: list[dict[str, Any]] = []

    def serve() -> None:
        with theirs, theirs.makefile("rb") as stream:
            theirs.sendall(json.dumps(GREETING).encode() + b"\n")
            for line in stream:
                requests.append(json.loads(line))
                capabilities = requests[-1]["execute"] == "qmp_capabilities"
                messages = [{"return": {}}] if capabilities else answer(requests[-1])
                theirs.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
                if not messages:
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        yield Qmp(ours, **options), requests
    thread.join(10)
    assert not thread.is_alive()


def test_commands_are_sent_ahead_and_events_are_kept_apart() -> None:
    def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"event": "STOP"}, {"return": request["execute"]}]

    with qemu(answer) as (client, requests):
        client.send("stop")
        assert client.call("query", {"a": 1}) == "query"
        assert requests == [
            {"execute": "qmp_capabilities"},
            {"execute": "stop"},
            {"execute": "query", "arguments": {"a": 1}},
        ]


def test_a_refusal_names_the_command() -> None:
    class OwnError(PhotonbuildError):
        pass

    refusal = {"error": {"class": "GenericError", "desc": "no such thing"}}
    with qemu(lambda _: [refusal], error=OwnError) as (client, _), pytest.raises(OwnError) as caught:
        client.call("device_del")
    assert str(caught.value) == "qemu refused device_del: no such thing"


def test_an_end_and_a_silence() -> None:
    with qemu(lambda _: []) as (client, _), pytest.raises(VerifyError, match="the machine ended"):
        client.call("quit")
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(VerifyError, match="no answer from qemu within 0 s"):
        Qmp(ours, timeout=0.01).wait()


def test_the_human_monitor_says_nothing_when_all_is_well() -> None:
    texts = iter(["", "Error: taken\r\n"])
    with qemu(lambda _: [{"return": next(texts)}]) as (client, _):
        client.monitor("hostfwd_add net tcp::1-:1")
        with pytest.raises(VerifyError, match=r"^taken$"):
            client.monitor("hostfwd_add net tcp::1-:1")


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_migration_is_waited_for(status: str) -> None:
    def answer(_: dict[str, Any]) -> list[dict[str, Any]]:
        states = ("setup", "active", status)
        return [{"return": {}}, *({"event": "MIGRATION", "data": {"status": state}} for state in states)]

    with qemu(answer) as (client, _):
        client.send("migrate", {"uri": "file:/state"})
        if status == "completed":
            client.wait_for_migration()
        else:
            with pytest.raises(VerifyError, match="could not read or write"):
                client.wait_for_migration()


def test_a_descriptor_goes_along() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        read, write = os.pipe()
        client = Qmp(ours)
        theirs.recv(4096)
        client.send("add-fd", fd=write)
        data, files, _, _ = socket.recv_fds(theirs, 4096, 4)
        assert json.loads(data)["execute"] == "add-fd"
        os.write(files[0], b"through")
        assert os.read(read, 10) == b"through"
        for file in (read, write, *files):
            os.close(file)
