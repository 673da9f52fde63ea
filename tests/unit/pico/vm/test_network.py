"""What a machine's network is told, and ports that are bound for it."""

from __future__ import annotations

import socket

import pytest

from pico.errors import PicoError
from pico.vm import network
from pico.vm.network import Port


def test_a_command_line() -> None:
    ports = [(Port("tcp", "127.0.0.1", 8080, 80), 7), (Port("udp", "", 53, 5353), 8)]
    assert network.argv(5, ports, "127.0.0.53")[2:] == ["5", "-r", "127.0.0.53", "tcp:80:7", "udp:5353:8"]
    assert network.argv(5, [], None)[2:] == ["5"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nameserver 127.0.0.53\nnameserver 192.0.2.1\n", "127.0.0.53"),
        ("# nameserver 127.0.0.1\nnameserver ::1\nnameserver 192.0.2.1\nnameserver 127.0.0.1\n", None),
        ("nameserver\noptions edns0\n", None),
        ("", None),
    ],
)
def test_only_the_resolver_on_loopback_is_named(text: str, found: str | None) -> None:
    assert network.own_resolver(text) == found


def test_a_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = Port("tcp", "127.0.0.1", server.getsockname()[1], 80)
        free = Port("udp", "127.0.0.1", taken.here, 80)
        with pytest.raises(PicoError, match="cannot publish tcp"), network.published([free, taken]):
            pass
        with network.published([free]) as (sock,):
            assert sock.getsockname() == ("127.0.0.1", taken.here)
