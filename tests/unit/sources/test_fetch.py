"""Pure parts of seed, sources, keys, sandbox and store."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from photonbuild.config.models import Mirrors, Seed
from photonbuild.errors import SandboxError, SourceError, StoreError
from photonbuild.keys import differences, key_of
from photonbuild.sandbox.ids import sub_ids
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds.lock import apt_configuration
from photonbuild.seeds.seed import mmdebstrap_argv
from photonbuild.sources.mirrors import apt_uris, debian_mirrors, download
from photonbuild.store import Store

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


def test_private_apt_configuration_never_names_the_systems(tmp_path: Path) -> None:
    text = apt_configuration(tmp_path, "http://a.example/debian", "trixie").read_text()
    assert f'Dir::State::status "{tmp_path}/status";' in text
    assert "/etc/apt" not in text and "/var/lib" not in text


def test_mmdebstrap_sees_only_the_local_repository(tmp_path: Path) -> None:
    seed = Seed(suite="trixie", packages=("gcc", "make"), lock="x.lock", exclude_paths=("usr/share/doc/*",))
    argv = mmdebstrap_argv(seed, tmp_path / "repo", tmp_path / "seed.tar")
    assert argv[-1] == f"deb [trusted=yes] copy:{tmp_path}/repo ./"
    assert "--include=gcc,make" in argv
    assert not any("http" in word for word in argv)


def test_sandbox_plan_has_the_seed_last_and_no_host_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    box = Sandbox(layers=[tmp_path / "dep", tmp_path / "seed"], scratch=tmp_path, binds=[Bind(tmp_path, "/out", False)])
    plan = box.plan(["true"], "/")
    assert plan["layers"] == [f"{tmp_path}/dep", f"{tmp_path}/seed"]
    assert plan["binds"] == [[str(tmp_path), "/out", False]]
    assert plan["network"] is False
    assert "SECRET" not in plan["env"] and plan["env"]["LC_ALL"] == "C.UTF-8"


def test_sub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    table = tmp_path / "subuid"
    table.write_text("bob:100000:65536\nalice:165536:100\nalice:200000:65536\n")
    assert sub_ids(table) == 200000
    table.write_text("bob:100000:65536\n")
    with pytest.raises(SandboxError) as error:
        sub_ids(table)
    assert "usermod --add-subuids" in str(error.value.hint)


def test_key_depends_on_every_input_and_not_on_order() -> None:
    inputs = {"spec": "a", "installed": {"x": "1", "y": "2"}}
    assert key_of(inputs) == key_of({"installed": {"y": "2", "x": "1"}, "spec": "a"})
    assert key_of(inputs) != key_of({"spec": "a", "installed": {"x": "1", "y": "3"}})


def test_differences_name_the_input() -> None:
    old = {"seed": "s" * 64, "files": {"a.c": "1", "b.c": "2"}}
    new = {"seed": "s" * 64, "files": {"a.c": "9", "c.c": "3"}}
    assert differences(old, new) == ["files a.c: 1 → 9", "files b.c: 2 → absent", "files c.c: absent → 3"]


def test_staging_is_gone_unless_published(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    with store.staging() as work:
        (work / "out").mkdir()
        (work / "out" / "file").write_text("x")
        store.publish(work / "out", store.package("p", "k"))
    assert (store.package("p", "k") / "file").read_text() == "x"
    assert list((store.root / "tmp").iterdir()) == []


def test_first_of_two_publishers_wins(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    for text in ("first", "second"):
        with store.staging() as work:
            (work / "out").mkdir()
            (work / "out" / "file").write_text(text)
            store.publish(work / "out", store.package("p", "k"))
    assert (store.package("p", "k") / "file").read_text() == "first"


def test_leftovers_of_dead_builds_are_swept_and_live_ones_kept(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    dead = store.root / "tmp" / "w-dead"
    dead.mkdir()
    dead.with_suffix(".lock").touch()
    with store.staging() as live:
        Store.open(tmp_path / "store")
        assert live.exists()
        assert not dead.exists()


def test_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as error:
        Store.open(tmp_path / "file" / "store")
    assert error.value.exit_code == 10
    assert "PHOTONBUILD_STORE" in str(error.value.hint)


def test_full_disk_is_said_before_work_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("U", (), {"free": 1 << 20, "total": usage.f_blocks})())
    with pytest.raises(StoreError, match="only 1 MiB are free"):
        Store.open(tmp_path / "store")


class Flaky(http.server.BaseHTTPRequestHandler):
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

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    Flaky.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_download_tries_again_when_the_server_is_busy(flaky: str, tmp_path: Path) -> None:
    download(f"{flaky}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"bytes"
    assert Flaky.asked == ["/file"] * 3


def test_download_of_what_is_gone_fails_at_once(flaky: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="HTTP 404"):
        download(f"{flaky}/gone", tmp_path / "file")
    assert Flaky.asked == ["/gone"]
