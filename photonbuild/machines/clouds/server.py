"""Metadata servers: small web servers on this machine's loopback that the guest sees at the cloud's own addresses.

QEMU's user network knows one network only, and hands what is sent to some of its addresses to a program
(``guestfwd``). One that holds both well-known addresses, 169.254.169.254 and 168.63.129.16, is 168.0.0.0/7.
https://www.qemu.org/docs/master/system/invocation.html
"""

from __future__ import annotations

import contextlib
import http.server
import socketserver
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from photonbuild.machines.testnet import serving

# Joins its input and output to a TCP connection; in the sandbox of QEMU.
RELAY = "/usr/bin/busybox nc"
IMDS = "169.254.169.254"
WIRESERVER = "168.63.129.16"
NETWORK = ("net=168.0.0.0/7", "host=168.0.0.2", "dns=168.0.0.3", "dhcpstart=168.0.0.15")
HOST, NAMESERVER, GUEST = "168.0.0.2", "168.0.0.3", "168.0.0.15"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: `path` without and `query` without the question mark; names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Response:
    status: int = 200
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Responder = Callable[[Request], Response]


def guest_forward(address: str, port: int) -> str:
    """The option of QEMU's user network that leads port 80 of `address` to `port` of our loopback."""
    return f"guestfwd=tcp:{address}:80-cmd:{RELAY} 127.0.0.1 {port}"


@contextlib.contextmanager
def serve_http(respond: Responder, requests: list[str]) -> Iterator[int]:
    """A server in a thread; gives its port on the loopback. Every request is noted in `requests`."""
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(respond, requests))) as port:
        yield port


def user_network(*forwards: str) -> Sequence[str]:
    return (*NETWORK, *forwards)


def _handler(respond: Responder, requests: list[str]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            response = respond(Request(method=self.command, path=path, query=query, headers=headers, body=body))
            requests.append(f"{self.command} {self.path} {response.status}")
            body = response.text.encode()
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            # The relay in front of us serves one connection, and ends with it.
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = serve

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
