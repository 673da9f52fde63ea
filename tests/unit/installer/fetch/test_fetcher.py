"""What is fetched from a server, and what is refused."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path
from typing import ClassVar

import pytest

from photonbuild.installer.errors import FetchError
from photonbuild.installer.fetch.fetcher import Fetcher, Redirects
from photonbuild.installer.fetch.source import parse_source
from tests.support import serving
from tests.support.installer import paths


def test_http_is_refused_without_the_word(tmp_path: Path) -> None:
    with Fetcher(paths=paths(tmp_path)) as fetcher, pytest.raises(FetchError, match="http is refused") as caught:
        fetcher.read_text(parse_source("http://127.0.0.1:9/ks"))
    assert caught.value.exit_code == 4


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with Fetcher(paths=paths(tmp_path), pause=0) as fetcher, pytest.raises(FetchError, match="not to be reached"):
        fetcher.read_text(parse_source("https://127.0.0.1:9/ks"))


class Answers(serving.Quiet):
    """/ks is a file, /away leads to it, /broken fails twice before it is one, /half ends early; there is no more."""

    failures = 2

    def do_GET(self) -> None:
        if self.path == "/broken" and Answers.failures:
            Answers.failures -= 1
            self.send_error(503)
        elif self.path in ("/ks", "/broken"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"disk: /dev/sda\n")
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/ks")
            self.end_headers()
        elif self.path == "/half":
            self.send_response(200)
            self.send_header("Content-Length", "15")
            self.end_headers()
            self.wfile.write(b"disk: ")
        else:
            self.send_error(404)


@pytest.fixture
def server() -> Iterator[str]:
    with serving.served(Answers) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_server(server: str, tmp_path: Path) -> None:
    with Fetcher(paths=paths(tmp_path), insecure=True, pause=0) as fetcher:
        for path in ("/ks", "/away", "/broken"):
            assert fetcher.read_text(parse_source(server + path)) == "disk: /dev/sda\n"
        with pytest.raises(FetchError, match="the server answers 404") as caught:
            fetcher.read_text(parse_source(f"{server}/missing"))
        assert caught.value.where == f"{server}/missing"
        file = fetcher.fetch(parse_source(f"{server}/ks"), tmp_path / "a/b")
        assert file.read_bytes() == b"disk: /dev/sda\n"


def test_half_a_file_is_none(server: str, tmp_path: Path) -> None:
    source = parse_source(f"{server}/half")
    with Fetcher(paths=paths(tmp_path), insecure=True, pause=0) as fetcher:
        with pytest.raises(FetchError, match="the transfer broke off: 9 bytes are missing"):
            fetcher.read_text(source)
        with pytest.raises(FetchError, match="the transfer broke off: 9 bytes are missing") as caught:
            fetcher.fetch(source, tmp_path / "half")
    assert caught.value.where == f"{server}/half"


def test_a_place_that_takes_no_file(server: str, tmp_path: Path) -> None:
    with Fetcher(paths=paths(tmp_path), insecure=True, pause=0) as fetcher, pytest.raises(FetchError) as caught:
        fetcher.fetch(parse_source(f"{server}/ks"), tmp_path)
    assert caught.value.message == "it cannot be kept: Is a directory" and caught.value.hint


def test_no_redirect_to_something_weaker(tmp_path: Path) -> None:
    request = urllib.request.Request("https://h/a")
    with pytest.raises(FetchError, match="which is not https"):
        Redirects(False).redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "http://h/a")


def test_certificates_to_trust(tmp_path: Path) -> None:
    fetcher = Fetcher(paths=paths(tmp_path))
    with pytest.raises(FetchError, match="cannot come from a server"):
        fetcher.trust(parse_source("https://example.org/ca.pem"))
    (tmp_path / "ca.pem").write_text("not one\n")
    with pytest.raises(FetchError, match="this is no certificate in PEM form"):
        fetcher.trust(parse_source(f"file:{tmp_path}/ca.pem"))


class Proxy(serving.Quiet):
    """Answers itself what it is to pass on; a tunnel ends at once."""

    asked: ClassVar[list[tuple[str, str, str]]] = []

    def do_GET(self) -> None:
        words = self.headers.get("Proxy-Authorization", ""), self.headers.get("Authorization", "")
        Proxy.asked.append((self.path, *words))
        if "/away" in self.path:
            self.send_response(302)
            self.send_header("Location", "http://elsewhere.example/ks")
        else:
            self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x")

    do_CONNECT = do_GET


def test_a_proxy_and_a_password(tmp_path: Path) -> None:
    """User and password of a URL go to that server only, those of the proxy to the proxy."""
    Proxy.asked.clear()
    with serving.served(Proxy) as port:
        proxy = f"http://p:q@127.0.0.1:{port}"
        with Fetcher(paths=paths(tmp_path), insecure=True, pause=0, proxy=proxy) as fetcher:
            assert fetcher.read_text(parse_source("http://u:a%40b@h.example/away?token=1")) == "x"
            with pytest.raises(FetchError, match="not to be reached") as caught:
                fetcher.read_text(parse_source("https://u:s3cr3t@h.example/ks?token=s3cr3t"))
    assert Proxy.asked[:3] == [
        ("http://h.example/away?token=1", "Basic cDpx", "Basic dTphQGI="),
        ("http://elsewhere.example/ks", "Basic cDpx", ""),
        ("h.example:443", "Basic cDpx", ""),
    ]
    assert caught.value.where == "https://h.example/ks"
    assert "s3cr3t" not in str(caught.value)
