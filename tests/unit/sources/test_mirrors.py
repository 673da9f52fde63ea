"""Where to fetch from, and downloads."""

from __future__ import annotations

import contextlib
import gzip
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from photonbuild.config.models import Mirrors
from photonbuild.errors import SourceError
from photonbuild.sources.mirrors import (
    apt_uris,
    archives_of,
    cargo_configuration,
    cargo_environment,
    debian_mirrors,
    download,
    security_mirrors,
    snapshot_service,
)
from tests.support import serving

DEB822 = """\
Types: deb
URIs: http://archive.example/debian
Suites: bookworm
"""


def test_debian_mirrors_come_from_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list").write_text(
        "# deb http://no.example/debian x main\ndeb https://one.example/debian x main\n"
    )
    (tmp_path / "sources.list.d" / "other.list").write_text("deb https://other.example/ubuntu x main\n")
    assert debian_mirrors(Mirrors(), tmp_path) == ("https://one.example/debian", "http://archive.example/debian")
    assert debian_mirrors(Mirrors(debian="http://mine.example/d/"), tmp_path) == ("http://mine.example/d",)


def test_no_mirror_is_an_error_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError) as error:
        debian_mirrors(Mirrors(), tmp_path)
    assert "mirrors" in str(error.value.hint)


def test_apt_uris_of_one_line_format_with_options() -> None:
    lines = [
        "deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian/ sid main",
        "deb-src http://b.example/debian sid main",
    ]
    assert apt_uris(lines) == ["http://a.example/debian/", "http://b.example/debian"]


def test_the_security_archive_is_the_one_of_the_hosts_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "sources.list").write_text(
        "deb http://a.example/debian x main\ndeb http://a.example/debian-security x-security main\n"
    )
    assert debian_mirrors(Mirrors(), tmp_path) == ("http://a.example/debian",)
    assert security_mirrors(Mirrors(), tmp_path) == ("http://a.example/debian-security",)
    assert archives_of("pool/updates/main/o/x", Mirrors(), tmp_path) == ("http://a.example/debian-security",)
    assert archives_of("pool/main/o/x", Mirrors(), tmp_path) == ("http://a.example/debian",)
    assert security_mirrors(Mirrors(debian_security="http://b.example/s/"), tmp_path) == ("http://b.example/s",)
    (tmp_path / "sources.list").write_text("deb http://a.example/debian x main\n")
    with pytest.raises(SourceError, match="security updates"):
        archives_of("pool/updates/main/o/x", Mirrors(), tmp_path)


def test_a_snapshot_that_apt_is_set_to_is_an_archive_and_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "sources.list").write_text(
        "# deb http://no.example/archive/debian/20250101T000000Z x main\n"
        "deb http://old.example/archive/debian-security/20251101T000000Z/ x-security main\n"
    )
    assert security_mirrors(Mirrors(), tmp_path) == ("http://old.example/archive/debian-security/20251101T000000Z",)
    assert snapshot_service(Mirrors(), tmp_path) == "http://old.example"
    assert snapshot_service(Mirrors(snapshot="http://s.example/"), tmp_path) == "http://s.example"
    (tmp_path / "sources.list").write_text("")
    assert snapshot_service(Mirrors(), tmp_path) is None


class Flaky(serving.Quiet):
    """Busy at first, then fine; /gone never is."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = 404 if self.path == "/gone" else 503 if len(self.asked) < 3 else 200
        self.send_response(status)
        self.send_header("Content-Length", "5" if status == 200 else "0")
        self.end_headers()
        if status == 200:
            self.wfile.write(b"bytes")


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    Flaky.asked.clear()
    with serving.served(Flaky) as port:
        yield f"http://127.0.0.1:{port}"


def test_download_tries_again_when_the_server_is_busy(flaky: str, tmp_path: Path) -> None:
    download(f"{flaky}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"bytes"
    assert Flaky.asked == ["/file"] * 3


def test_download_of_what_is_gone_fails_at_once(flaky: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="HTTP 404"):
        download(f"{flaky}/gone", tmp_path / "file")
    assert Flaky.asked == ["/gone"]


class Hostile(serving.Quiet):
    """Says more than it should: without end, or hardly anything, packed, or in circles."""

    over = threading.Event()

    def do_GET(self) -> None:
        getattr(self, self.path[1:])()

    def head(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def forever(self, block: bytes = b"x" * 65536, pause: float = 0.0) -> None:
        with contextlib.suppress(OSError):
            while not self.over.wait(pause):
                self.wfile.write(block)

    def endless(self) -> None:
        self.head()
        self.forever()

    def endless_redirection(self) -> None:
        self.head(302, Location="/five")
        self.forever()

    def endless_refusal(self) -> None:
        self.head(403)
        self.forever()

    def drip(self) -> None:
        self.head()
        self.forever(b"x", 0.05)

    def huge(self) -> None:
        self.head(Content_Length=str(1 << 40))

    def wrong_length(self) -> None:
        self.head(Content_Length="many")

    def short(self) -> None:
        self.head(Content_Length="50")
        self.wfile.write(b"bytes")

    def five(self) -> None:
        self.head(Content_Length="5")
        self.wfile.write(b"bytes")

    def packed(self) -> None:
        self.head(Content_Encoding="gzip")
        self.wfile.write(gzip.compress(bytes(1 << 20)))

    def circle(self) -> None:
        self.head(302, Location="/circle", Content_Length="0")

    def elsewhere(self) -> None:
        self.head(302, Location="file:///etc/passwd", Content_Length="0")


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    Hostile.over.clear()
    with serving.served(Hostile) as port:
        yield f"http://127.0.0.1:{port}"
        Hostile.over.set()


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("endless", "larger than 100000 bytes"),
        ("huge", "larger than 100000 bytes"),
        ("drip", "fewer than 1024 bytes/s"),
        ("endless_refusal", "HTTP 403"),
        ("short", "ConnectionError|IncompleteRead|ProtocolError"),
        ("wrong_length", "HTTP|Error|invalid"),
        ("circle", "redirected more than"),
        ("elsewhere", "No connection adapters"),
    ],
)
def test_pages_that_never_end(
    hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, message: str
) -> None:
    monkeypatch.setattr("photonbuild.sources.mirrors.SLOW_SECONDS", 0.5)
    with pytest.raises(SourceError, match=message):
        download(f"{hostile}/{page}", tmp_path / "file", limit=100_000)
    assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size <= 100_000


def test_a_size_that_is_not_locked_has_a_bound(hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photonbuild.sources.mirrors.LARGEST", 1 << 20)
    with pytest.raises(SourceError, match="larger than 1048576 bytes"):
        download(f"{hostile}/endless", tmp_path / "file")


def test_a_redirection_is_followed_without_its_page(hostile: str, tmp_path: Path) -> None:
    download(f"{hostile}/endless_redirection", tmp_path / "file", limit=5)
    assert (tmp_path / "file").read_bytes() == b"bytes"


def test_a_file_is_not_unpacked_on_the_way(hostile: str, tmp_path: Path) -> None:
    download(f"{hostile}/packed", tmp_path / "file", limit=1 << 14)
    assert gzip.decompress((tmp_path / "file").read_bytes()) == bytes(1 << 20)


@pytest.mark.parametrize("name", ["config.toml", "config"])
def test_cargo_fetches_from_where_the_hosts_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_text(
        '[build]\nrustc-wrapper = "w"\n[http]\ncainfo = "/of/the/host.pem"\nmultiplexing = false\ntimeout = 30\n'
        '[source.crates-io]\nreplace-with = "m"\n[source.m]\nregistry = "sparse+http://a.example/ü\\"x/"\n'
        '[registries."b.c"]\nindex = "sparse+http://b.example/"\ncredential-provider = ["a", "b"]\n'
    )
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    assert tomllib.loads(cargo_configuration(Mirrors())) == {
        "source": {"crates-io": {"replace-with": "m"}, "m": {"registry": 'sparse+http://a.example/ü"x/'}},
        "registries": {"b.c": {"index": "sparse+http://b.example/", "credential-provider": ["a", "b"]}},
        "http": {"multiplexing": False, "timeout": 30},
    }


def test_cargo_fetches_from_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text('[source.crates-io]\nreplace-with = "m"\n')
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    assert tomllib.loads(cargo_configuration(Mirrors(cargo="sparse+http://c.example/")))["source"] == {
        "crates-io": {"replace-with": "mirror"},
        "mirror": {"registry": "sparse+http://c.example/"},
    }


def test_cargo_of_a_host_without_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    assert cargo_configuration(Mirrors()) == ""
    (tmp_path / "config.toml").write_text("[source\n")
    with pytest.raises(SourceError, match="configuration of cargo") as caught:
        cargo_configuration(Mirrors())
    assert caught.value.where == str(tmp_path / "config.toml")


def test_cargos_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CARGO_NET_RETRY", "CARGO_BUILD_RUSTC", "CARGO_HOME", "https_proxy"):
        monkeypatch.setenv(name, "1")
    found = cargo_environment()
    assert {"CARGO_NET_RETRY", "https_proxy"} <= found.keys()
    assert not {"CARGO_BUILD_RUSTC", "CARGO_HOME"} & found.keys()
