"""What is fetched of a publication to be looked at."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from photonbuild.publication.index import Listed
from photonbuild.publication.verify import fetch_listed
from photonbuild.storage.web import Web
from tests.support import serving

MIB = 1 << 20


class Long(serving.Quiet):
    """More than anybody asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        # The client goes away.
        with contextlib.suppress(OSError):
            for _ in range(64):
                self.wfile.write(bytes(MIB))


def test_no_more_is_fetched_than_is_listed(tmp_path: Path) -> None:
    item = Listed(path="a.rpm", sha256=hashlib.sha256(b"").hexdigest(), size=1000)
    with serving.served(Long) as port:
        fault = fetch_listed(Web(f"http://127.0.0.1:{port}"), "x/a.rpm", item, tmp_path / "a")
    assert fault == "x/a.rpm: it has not the 1000 bytes that are listed"
    assert (tmp_path / "a").stat().st_size <= 2 * MIB
