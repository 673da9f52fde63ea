"""Where caches lie: a folder and a web server, each by the same verbs, and servers that do not do as they should."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.cache import places
from photonbuild.cache.manifest import MOST_MANIFEST
from photonbuild.cache.places import FolderPlace, Place, WebPlace
from photonbuild.errors import StoreError
from tests.support import serving
from tests.support.serving import Quiet
from tests.support.webdav import Davs, dav


@pytest.fixture(params=["folder", "web"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        yield FolderPlace(tmp_path / "cache", make=True)
    else:
        (tmp_path / "served").mkdir()
        with serving.served(dav(tmp_path / "served")) as port:
            yield WebPlace(f"http://127.0.0.1:{port}/cache")


def test_verbs(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "empty").write_bytes(b"")
    assert place.read("entries/a.json") is None and not place.has("entries/a.json")
    assert not place.get("blobs/a", tmp_path / "got", 7)
    place.put(tmp_path / "file", "entries/a.json")
    place.put(tmp_path / "file", "entries/a.json")
    place.put(tmp_path / "file", "entries/with space+%41.json")
    assert place.has("entries/a.json") and place.read("entries/a.json") == b"content"
    assert place.read("entries/with space+%41.json") == b"content"
    assert place.get("entries/a.json", tmp_path / "got", 7) and (tmp_path / "got").read_bytes() == b"content"
    # What is of another size is told by its size: it is not fetched to its end.
    assert place.get("entries/a.json", tmp_path / "got", 3) and (tmp_path / "got").read_bytes() != b"con"
    place.put(tmp_path / "empty", "blobs/empty")
    assert place.has("blobs/empty")


def test_a_folder_is_listed(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "cache", make=True)
    (tmp_path / "file").write_bytes(b"content")
    place.put(tmp_path / "file", "blobs/a")
    times = place.times()
    assert times.keys() == {"blobs/a"} and times["blobs/a"][0] == 7
    place.remove(["blobs/a", "blobs/none"])
    assert place.times() == {}
    with pytest.raises(OSError, match="there is no such folder"):
        FolderPlace(tmp_path / "none").read("entries/a.json")
    with pytest.raises(OSError, match="there is no such folder"):
        # Not made where what it should be in is not there: a disk that is not mounted.
        FolderPlace(tmp_path / "none" / "cache", make=True).has("x")


@pytest.mark.parametrize("code", [401, 405, 500, 503])
def test_a_server_that_refuses(tmp_path: Path, code: int) -> None:
    class Refuses(Quiet):
        def do_GET(self) -> None:
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_GET

    (tmp_path / "file").write_bytes(b"content")
    with serving.served(Refuses) as port:
        place = WebPlace(f"http://127.0.0.1:{port}")
        with pytest.raises(StoreError, match=f"HTTP {code}"):
            place.read("entries/a.json")
        with pytest.raises(StoreError):
            place.put(tmp_path / "file", "entries/a.json")


def test_a_server_that_breaks_off_drips_or_floods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "entry").write_bytes(b"x" * 1000)
    monkeypatch.setattr(places, "SILENT", 1.0)
    for fault, reason in (("cut", "Incomplete|missing|IncompleteRead"), ("drip", "fewer than"), ("flood", "more than")):
        with serving.served(dav(tmp_path, Davs(fault=fault, every=1))) as port:
            place, started = WebPlace(f"http://127.0.0.1:{port}"), time.monotonic()
            with pytest.raises(StoreError, match=reason):
                place.read("entry")
            assert time.monotonic() - started < 10
            if fault == "flood":
                place.get("entry", tmp_path / "got", 1000)
                assert 1000 < (tmp_path / "got").stat().st_size <= MOST_MANIFEST


def test_a_token_goes_to_its_own_server_only(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None]] = []

    class Other(Quiet):
        def do_GET(self) -> None:
            seen.append(("other", self.headers["Authorization"]))
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving.served(Other) as other:

        class Redirects(Quiet):
            def do_GET(self) -> None:
                seen.append(("own", self.headers["Authorization"]))
                self.send_response(302)
                self.send_header("Location", f"http://localhost:{other}/x")
                self.send_header("Content-Length", "0")
                self.end_headers()

        with serving.served(Redirects) as port:
            place = WebPlace(f"http://127.0.0.1:{port}", {"Authorization": "Bearer very-secret"})
            assert place.read("entries/a.json") is None
            assert seen == [("own", "Bearer very-secret"), ("other", None)]
    with pytest.raises(StoreError) as caught:
        place.read("entries/a.json")
    assert "very-secret" not in f"{caught.value} {caught.value.detail} {caught.value.hint}"
