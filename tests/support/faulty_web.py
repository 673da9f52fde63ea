"""A web server of files that misbehaves on request."""

from __future__ import annotations

import http.server
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import serving


@dataclass
class Web:
    """A web server with faults, each by the end of a path: `missing`, `cut` after so many bytes once, `changed`."""

    folder: Path
    port: int = 0
    missing: set[str] = field(default_factory=set)
    cut: dict[str, int] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    ranges: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    password: str | None = None
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        path = handler.path.split("?")[0]
        self.asked.append(path)
        file = self.folder / path.lstrip("/")
        if self.password and handler.headers.get("Authorization") != self.password:
            handler.send_error(401)
            return
        if any(path.endswith(end) for end in self.missing) or not file.is_file():
            handler.send_error(404)
            return
        data = file.read_bytes()
        if any(path.endswith(end) for end in self.changed):
            data = data[:-1] + bytes([data[-1] ^ 1])
        begin = 0
        if wanted := handler.headers.get("Range"):
            self.ranges.append(f"{path} {wanted}")
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(len(data) - begin))
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        stop = next((self.cut.pop(end) for end in list(self.cut) if path.endswith(end)), None)
        handler.wfile.write(data[begin:stop])
        if stop is not None:
            handler.wfile.flush()
            handler.connection.close()


@contextmanager
def web(folder: Path, certificate: Path | None = None) -> Iterator[Web]:
    """On this machine's loopback, until the block ends; over TLS with a `certificate` and its key in one file."""
    served = Web(folder, scheme="https" if certificate else "http")

    class Handler(serving.Quiet):
        def do_GET(self) -> None:
            try:
                served.answer(self)
            except OSError:
                self.close_connection = True

    with serving.served(Handler, certificate=certificate) as served.port:
        yield served
