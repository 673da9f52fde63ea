"""Files behind a web server: read as clients of a publication read them, and written by PUT where the server takes it.

PUT and DELETE as WebDAV has them (RFC 4918) but without its folders: the server makes those, as nginx does with
``create_full_put_path``. Credentials are those that requests(1) finds in ~/.netrc, or headers of the caller's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote

import requests
import urllib3

from photonbuild.errors import StoreError
from photonbuild.sources.certificates import trusted

CHUNK = 1 << 20
ABSENT = (403, 404, 410)


@dataclass(frozen=True)
class Web:
    """Files below an address of http or https.

    `connect`, `seconds`: how long the server may take to answer, and say nothing; `slowest`: bytes/s that it must give,
    as a mean over so many seconds; `most`: bytes of a file that is read into memory. `headers` may hold a secret: they
    are never shown.
    """

    where: str
    seconds: float = 60.0
    slowest: int = 0
    most: int = 256 << 20
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    session: requests.Session | None = field(default=None, repr=False, compare=False)
    connect: float = 60.0

    def read(self, path: str) -> bytes | None:
        data = bytearray()
        for chunk in self._chunks(path):
            data += chunk
            if len(data) > self.most:
                raise StoreError(f"it has more than {self.most >> 20} MiB", where=f"{self.where}/{path}")
        return bytes(data) or None

    def get(self, path: str, target: Path, size: int | None = None) -> bool:
        """With a `size`, no more than the beginning of a file that is larger."""
        with target.open("wb") as handle:
            for chunk in self._chunks(path):
                handle.write(chunk)
                if size is not None and handle.tell() > size:
                    break
        return target.stat().st_size > 0

    def has(self, path: str) -> bool:
        """Would the server give this file?"""
        with self._ask("HEAD", path) as answer:
            return answer.status_code == 200

    def put(self, source: Path, path: str) -> None:
        """Bring a file there, over what is there."""
        with contextlib.ExitStack() as stack:
            # An empty body would be sent in chunks, which few servers take for a PUT.
            data = stack.enter_context(source.open("rb")) if source.stat().st_size else b""
            self._check(stack.enter_context(self._ask("PUT", path, data=data)), path)

    def _chunks(self, path: str) -> Iterator[bytes]:
        with self._ask("GET", path) as answer:
            if answer.status_code in ABSENT:
                return
            self._check(answer, path)
            received, since = 0, time.monotonic()
            try:
                # What there is, not a full block of it: a server that drips would fill one at its leisure.
                while chunk := answer.raw.read1(CHUNK):
                    yield chunk
                    received += len(chunk)
                    passed = time.monotonic() - since
                    if passed >= self.seconds:
                        if received / passed < self.slowest:
                            raise self._refuses(path, f"fewer than {self.slowest} bytes/s for {passed:.0f} s")
                        received, since = 0, time.monotonic()
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise self._refuses(path, str(error)) from None
            if answer.raw.length_remaining:
                raise self._refuses(path, f"{answer.raw.length_remaining} bytes are missing")

    def _ask(self, method: str, path: str, data: IO[bytes] | bytes | None = None) -> requests.Response:
        ask = self.session.request if self.session is not None else requests.request
        # The file as it is: a server that packs it on the way would give other bytes, or any number of them.
        headers = {"Accept-Encoding": "identity", **self.headers}
        url = f"{self.where}/{quote(path)}"
        try:
            limits = (self.connect, self.seconds)
            return ask(method, url, data=data, stream=True, timeout=limits, verify=trusted(), headers=headers)
        except (requests.RequestException, OSError) as error:
            raise self._refuses(path, str(error)) from None

    def _check(self, answer: requests.Response, path: str) -> None:
        if answer.status_code >= 300:
            raise self._refuses(path, f"HTTP {answer.status_code} {answer.reason}")

    def _refuses(self, path: str, reason: str) -> StoreError:
        return StoreError(f"it cannot be reached: {reason}", where=f"{self.where}/{path}")
