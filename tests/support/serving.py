"""Servers of tests on this machine's loopback; web servers run in a thread, until a block ends."""

from __future__ import annotations

import contextlib
import functools
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


class Quiet(http.server.BaseHTTPRequestHandler):
    """A handler that writes no log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Files(Quiet, http.server.SimpleHTTPRequestHandler):
    pass


def contents(files: Mapping[str, bytes], asked: list[str]) -> type[Quiet]:
    """A handler that serves these contents by their paths, and adds every path that it is asked for to `asked`."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            asked.append(self.path)
            data = files.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

    return Handler


def folder(path: Path) -> Callable[..., Quiet]:
    """A handler that serves the files of a folder, with listings."""
    return functools.partial(_Files, directory=str(path))


@contextlib.contextmanager
def served(handler: Callable[..., Any], *, certificate: Path | None = None, key: Path | None = None) -> Iterator[int]:
    """The port at which the handler answers, each connection in a thread of its own.

    Over TLS with a `certificate`, whose private key is in the same PEM file or in `key`.
    """
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def wait_for_port(port: int) -> None:
    """Until somebody listens at it on this machine's loopback."""
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nobody listens at {port}")
