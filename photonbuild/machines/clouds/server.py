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

from photonbuild.machines.qemu import RELAY
from photonbuild.machines.testnet import serving

IMDS = "169.254.169.254"
WIRESERVER = "168.63.129.16"
NETWORK = ("net=168.0.0.0/7", "host=168.0.0.2", "dns=168.0.0.3", "dhcpstart=168.0.0.15")
HOST, NAMESERVER, GUEST = "168.0.0.2", "168.0.0.3", "168.0.0.15"


@dataclass(frozen=True, kw_only=True)
class Query:
    """One request: `path` without and `query` without the question mark; names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int = 200
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Answers = Callable[[Query], Answer]


def at(address: str, port: int) -> str:
    """The option of QEMU's user network that leads port 80 of `address` to `port` of our loopback."""
    return f"guestfwd=tcp:{address}:80-cmd:{RELAY} 127.0.0.1 {port}"


@contextlib.contextmanager
def answering(answers: Answers, seen: list[str]) -> Iterator[int]:
    """A server in a thread; gives its port on the loopback. Every request is noted in `seen`."""
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(answers, seen))) as port:
        yield port


def network(*forwards: str) -> Sequence[str]:
    return (*NETWORK, *forwards)


def _handler(answers: Answers, seen: list[str]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Query(method=self.command, path=path, query=query, headers=headers, body=self.rfile.read(length))
            answer = answers(asked)
            seen.append(f"{self.command} {self.path} {answer.status}")
            body = answer.text.encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            # The relay in front of us serves one connection, and ends with it.
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
