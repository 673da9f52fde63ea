"""A web server that takes files by PUT, as nginx with its DAV module does; on request one with faults."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from tests.support.serving import Quiet


@dataclass
class Davs:
    """Every so manyth answer to GET has the fault: cut, drip, error or flood; without `every` none has."""

    fault: str = ""
    every: int = 0
    count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def strikes(self) -> bool:
        return bool(self.every) and next(self.count) % self.every == 0


def dav(root: Path, faults: Davs | None = None) -> type[Quiet]:
    """A handler over a folder. Connections are kept, as servers do."""
    wrong = faults or Davs()

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(200 if self._path().is_file() else 404, b"")

        def do_GET(self) -> None:
            path = self._path()
            if not path.is_file():
                self._answer(404, b"")
                return
            data = path.read_bytes()
            if not wrong.strikes():
                self._answer(200, data)
            elif wrong.fault == "error":
                self._answer(500, b"broken")
            else:
                self._break(data)

        def _break(self, data: bytes) -> None:
            self.close_connection = True
            self.send_response(200)
            if wrong.fault != "flood":
                self.send_header("Content-Length", str(len(data)))
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                if wrong.fault == "cut":
                    self.wfile.write(data[: len(data) // 2])
                elif wrong.fault == "flood":
                    for _ in range(64):
                        self.wfile.write(data.ljust(1 << 20, b" "))
                else:
                    for byte in data:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(0.5)

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            path = self._path()
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{secrets.token_hex(4)}")
            temporary.write_bytes(data)
            os.replace(temporary, path)
            self._answer(201, b"")

        def _path(self) -> Path:
            return root / unquote(self.path).lstrip("/")

        def _answer(self, code: int, data: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
