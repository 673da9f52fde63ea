"""Values of options."""

from __future__ import annotations

from pathlib import Path

import pytest

from pico.cli import options
from pico.errors import PicoError
from pico.vm.network import Port


@pytest.mark.parametrize(("text", "size"), [("64m", 64), ("1g", 1024), ("67108864", 64), ("65537k", 65), ("64MB", 64)])
def test_memory(text: str, size: int) -> None:
    assert options.memory(text) == size


@pytest.mark.parametrize("text", ["", "m", "64x", "-1m", "1m", "1000g", "1.5g"])
def test_bad_memory(text: str) -> None:
    with pytest.raises(PicoError):
        options.memory(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("8080:80", Port("tcp", "", 8080, 80)),
        ("127.0.0.1:8080:80", Port("tcp", "127.0.0.1", 8080, 80)),
        ("5353:53/udp", Port("udp", "", 5353, 53)),
    ],
)
def test_ports(text: str, found: Port) -> None:
    assert options.port(text) == found


def test_a_free_port_is_found() -> None:
    for text in ("80", "127.0.0.1::80"):
        found = options.port(text)
        assert found.there == 80
        assert found.here > 0


@pytest.mark.parametrize("text", ["", "a:80", "80:70000", "0:0", "1:2:3:4", "80/sctp", "[::1]:80:80"])
def test_bad_ports(text: str) -> None:
    with pytest.raises(PicoError):
        options.port(text)


def test_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    share = options.shares(["./new:/data/../data/:ro"])[0]
    assert (share.source, share.target, share.readonly) == (tmp_path / "new", "/data", True)
    assert (tmp_path / "new").is_dir()
    assert (share.part, options.shares(["./file:/etc/file"])[0].part) == (None, "file")
    for wrong in ("/data", "name:/data", "./a:data", "./a:/data:xx", "./a:/", "./file/below:/data"):
        with pytest.raises(PicoError):
            options.shares([wrong])
    with pytest.raises(PicoError, match="at most 4 volumes"):
        options.shares(["./a:/a"] * 5)


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").write_text("# comment\nA=1\n\nB= two words \nHERE\n")
    monkeypatch.setenv("HERE", "x")
    monkeypatch.delenv("THERE", raising=False)
    assert options.environment(["A=2", "THERE"], [str(tmp_path / "env")]) == ["A=1", "B= two words ", "HERE=x", "A=2"]
    with pytest.raises(PicoError):
        options.environment(["=x"], [])
    with pytest.raises(PicoError):
        options.environment([], [str(tmp_path / "missing")])
