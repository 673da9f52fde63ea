"""The network that a test machine reaches: web, name and time server on this machine's loopback.

QEMU's user network shows the loopback to the guest as 10.0.2.2. DNS messages: RFC 1035; of time: RFC 5905, section 14.
"""

from __future__ import annotations

import contextlib
import http.server
import secrets
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from photonbuild.machines.hardware import HOST_SEEN_BY_GUEST

ZONE = "testnet.test"
WEB = f"web.{ZONE}"
NTP_EPOCH = -2208988800  # 1900-01-01T00:00:00Z, as Unix time


@dataclass(frozen=True, kw_only=True)
class Testnet:
    """Where the servers listen, the text that the web server gives, and the only name that the name server knows.

    `host` is where the guest sees this machine's loopback.
    """

    http_port: int
    dns_port: int
    ntp_port: int
    token: str
    name: str = WEB
    host: str = HOST_SEEN_BY_GUEST

    @property
    def url(self) -> str:
        return f"http://{self.name}:{self.http_port}/"

    def facts(self) -> dict[str, str | int]:
        """What checks have to know to use it from the machine."""
        return {
            "host": self.host,
            "name": self.name,
            "http_port": self.http_port,
            "dns_port": self.dns_port,
            "ntp_port": self.ntp_port,
            "url": self.url,
            "token": self.token,
        }


@contextlib.contextmanager
def serve_testnet(host: str = HOST_SEEN_BY_GUEST) -> Iterator[Testnet]:
    """The servers, in threads; they are gone when the block ends. `host`: where the guest sees our loopback."""
    token = secrets.token_hex(16)
    with (
        serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _web(token))) as web,
        serving(socketserver.ThreadingUDPServer(("127.0.0.1", 0), _udp(lambda query: answer(query, host)))) as dns,
        serving(socketserver.ThreadingUDPServer(("127.0.0.1", 0), _udp(lambda query: now(query, time.time())))) as ntp,
    ):
        yield Testnet(http_port=web, dns_port=dns, ntp_port=ntp, token=token, host=host)


@contextlib.contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """Run a server in a thread for as long as the block lasts; gives its port."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield int(server.socket.getsockname()[1])
        finally:
            server.shutdown()
            thread.join()


def _web(token: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{token}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _udp(reply_to: Callable[[bytes], bytes | None]) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, sock = self.request
            reply = reply_to(query)
            if reply is not None:
                sock.sendto(reply, self.client_address)

    return Handler


def answer(query: bytes, host: str = HOST_SEEN_BY_GUEST) -> bytes | None:
    """Reply to one DNS query: `host` as address of `WEB`, no data for its other types, else no such name.

    None for what is no query with one question.
    """
    if len(query) < 17:
        return None
    ident, flags, questions = struct.unpack(">HHH", query[:6])
    if flags & 0x8000 or questions != 1:
        return None
    labels, position = [], 12
    while query[position]:
        length = query[position]
        labels.append(query[position + 1 : position + 1 + length].decode("ascii", "replace").lower())
        position += 1 + length
        if position >= len(query) - 4:
            return None
    end = position + 5
    kind = struct.unpack(">H", query[position + 1 : position + 3])[0]
    known = ".".join(labels) == WEB
    records = known and kind == 1
    # Authoritative answer, recursion available; code 3 is "no such name".
    code = 0x8480 | (flags & 0x0100) | (0 if known else 3)
    reply = struct.pack(">HHHHHH", ident, code, 1, int(records), 0, 0) + query[12:end]
    if records:
        address = bytes(int(part) for part in host.split("."))
        reply += struct.pack(">HHHIH", 0xC00C, 1, 1, 30, 4) + address
    return reply


def now(query: bytes, unix: float) -> bytes | None:
    """A primary server's reply to a client's message: the time is `unix`; None for any other message. Pure."""
    if len(query) < 48 or query[0] & 7 != 3:
        return None
    stamp = struct.pack(">Q", int((unix - NTP_EPOCH) * (1 << 32)))
    # Version as asked, mode 4; stratum 1, precision 2^-20 s; no delay and dispersion; reference unknown.
    head = struct.pack(">BBbbII4s", query[0] & 0x38 | 4, 1, query[2], -20, 0, 0, b"TEST")
    return head + stamp + query[40:48] + stamp + stamp
