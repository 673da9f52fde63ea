"""The name server's messages and the web server of the network that test machines reach."""

from __future__ import annotations

import struct
import urllib.request

import pytest

from photonbuild.machines.testnet import WEB, answer, now, serve_testnet


def query(name: str, kind: int = 1) -> bytes:
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack(">HH", kind, 1)


def test_name_server_answers() -> None:
    reply = answer(query("Web.Testnet.test"))
    assert reply is not None
    assert struct.unpack(">HHHHHH", reply[:12]) == (7, 0x8580, 1, 1, 0, 0)
    assert reply[-4:] == bytes([10, 0, 2, 2])


def test_name_server_knows_nothing_else() -> None:
    other, ipv6 = answer(query("example.test")), answer(query(WEB, 28))
    assert other is not None and other[3] & 15 == 3
    assert ipv6 is not None and (ipv6[3] & 15, ipv6[7]) == (0, 0)


@pytest.mark.parametrize("noise", [b"", b"x" * 40, query("a.b")[:14], b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x3f" * 20])
def test_name_server_ignores_noise(noise: bytes) -> None:
    assert answer(noise) is None


def test_web_server_gives_the_token() -> None:
    with serve_testnet() as net, urllib.request.urlopen(f"http://127.0.0.1:{net.http_port}/") as reply:
        assert reply.read().decode().strip() == net.token


def test_time_server_answers() -> None:
    query = bytes([0x23, 0, 6]) + bytes(37) + b"whenever"
    reply = now(query, 1767225600.5)
    assert reply is not None and len(reply) == 48
    assert (reply[0], reply[1], reply[24:32]) == (0x24, 1, b"whenever")
    for place in (16, 32, 40):
        assert struct.unpack_from(">II", reply, place) == (1767225600 + 2208988800, 1 << 31)
    assert now(reply, 0) is None and now(b"", 0) is None
