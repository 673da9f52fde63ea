"""What the netboot initramfs fetches and refuses: its own shell functions and curl against a web server."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import serving
from tests.support.image_requests import ROOT

SCRIPT = ROOT / "build/dracut/90netroot/netroot.sh"
DATA = b"root" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()
# What /init has before it reads the script; `shell` only says what it would say.
HEAD = 'shell() { echo "live: $1"; }; step() { "$@"; }; live=$PWD; mkdir -p rw; '


@dataclass
class Web:
    url: str
    asked: list[str]


@pytest.fixture
def web() -> Iterator[Web]:
    asked: list[str] = []
    with serving.served(serving.contents({"/root.erofs": DATA}, asked)) as port:
        yield Web(f"http://127.0.0.1:{port}", asked)


def fetched(folder: Path, words: str, *, more: str = "") -> tuple[int, str]:
    """Exit code and output of `fetch` with the words of a command line; what is fetched is rw/root.erofs."""
    call = 'fetch "${cmdline##*root=live:}" "$sha256" rw/root.erofs'
    script = f"{HEAD} cmdline='{words}'; . {SCRIPT}; read_words; {more} {call}"
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_has_the_digest_is_taken(web: Web, tmp_path: Path) -> None:
    code, said = fetched(tmp_path, f"live.sha256={DIGEST.upper()} root=live:{web.url}/root.erofs")
    assert (code, said) == (0, f"live: fetching {web.url}/root.erofs\n")
    assert (tmp_path / "rw/root.erofs").read_bytes() == DATA


def test_a_password_is_used_and_not_shown(web: Web, tmp_path: Path) -> None:
    url = web.url.replace("//", "//me:secret@")
    code, said = fetched(tmp_path, f"live.sha256={DIGEST} root=live:{url}/root.erofs")
    assert (code, said) == (0, f"live: fetching {web.url}/root.erofs\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"live.sha256={'0' * 64} root=live:URL/root.erofs", f"its SHA-256 is {DIGEST}, not {'0' * 64}"),
        (
            "root=live:URL/root.erofs",
            "the command line has no SHA-256 digest (64 hexadecimal digits) of URL/root.erofs",
        ),
        (f"live.sha256={DIGEST[:-1]} root=live:URL/root.erofs", "has no SHA-256 digest"),
        (f"live.sha256={DIGEST} root=live:URL/other", "URL/other cannot be fetched"),
        (f"live.sha256={DIGEST} root=live:ftp://127.0.0.1/x", "'ftp://127.0.0.1/x' is no http or https address"),
        (f"live.sha256={DIGEST} root=live:file:///etc/passwd", "is no http or https address"),
    ],
)
def test_what_is_refused(web: Web, tmp_path: Path, words: str, said: str) -> None:
    code, text = fetched(tmp_path, words.replace("URL", web.url))
    assert code == 1 and said.replace("URL", web.url) in text, text
    assert not (tmp_path / "rw/root.erofs").exists()


def test_no_answer_changes_by_asking_again(web: Web, tmp_path: Path) -> None:
    fetched(tmp_path, f"live.sha256={DIGEST} root=live:{web.url}/other")
    assert web.asked == ["/other"]


def test_what_does_not_fit_is_not_fetched(web: Web, tmp_path: Path) -> None:
    words = f"live.sha256={DIGEST} root=live:{web.url}/root.erofs"
    code, said = fetched(tmp_path, words, more="room() { echo 3999; };")
    assert (
        code == 1
        and "root.erofs does not fit into memory: it has 1 MiB, 1 MiB are left for it of the machine's" in said
    )
    assert web.asked == ["/root.erofs"] and not (tmp_path / "rw/root.erofs").exists()
    code, _ = fetched(tmp_path, words, more="room() { echo 4000; };")
    assert code == 0


def test_the_room_is_never_no_limit(tmp_path: Path) -> None:
    more = "stat() { echo 0 4096; }; room;"
    _, said = fetched(tmp_path, "root=live:x", more=more)
    assert said.splitlines()[0] == "1"


def test_a_proxy_is_asked(web: Web, tmp_path: Path) -> None:
    words = f"live.proxy={web.url} live.sha256={DIGEST} root=live:http://elsewhere.invalid/root.erofs"
    code, said = fetched(tmp_path, words)
    assert code == 1 and web.asked == ["http://elsewhere.invalid/root.erofs"], said
