"""A publication behind a web server, as clients see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import requests

from photonbuild.errors import StoreError
from photonbuild.publication.index import MOST_METADATA
from photonbuild.sources.certificates import trusted

SECONDS = 60.0
CHUNK = 1 << 20


@dataclass(frozen=True)
class Web:
    """Files below an address of http or https."""

    where: str

    def read(self, path: str) -> bytes | None:
        data = bytearray()
        for chunk in self._chunks(path):
            data += chunk
            if len(data) > MOST_METADATA:
                raise StoreError(f"it has more than {MOST_METADATA >> 20} MiB", where=f"{self.where}/{path}")
        return bytes(data) or None

    def get(self, path: str, target: Path) -> bool:
        with target.open("wb") as handle:
            for chunk in self._chunks(path):
                handle.write(chunk)
        return target.stat().st_size > 0

    def _chunks(self, path: str) -> Iterator[bytes]:
        url = f"{self.where}/{quote(path)}"
        try:
            with requests.get(
                url, stream=True, timeout=SECONDS, verify=trusted(), headers={"Accept-Encoding": "identity"}
            ) as answer:
                if answer.status_code in (403, 404, 410):
                    return
                answer.raise_for_status()
                yield from answer.iter_content(CHUNK)
        except requests.RequestException as error:
            raise StoreError(f"it cannot be read: {error}", where=url) from None
