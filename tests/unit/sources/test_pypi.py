"""Indexes of Python packages: in JSON and in the older form, HTML; both are asked for, and either is read."""

from __future__ import annotations

import http.server
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from photonbuild.config.models import Mirrors
from photonbuild.errors import SourceError
from photonbuild.machines.testnet import serving
from photonbuild.sources.pypi import JSON, file_url, in_html, newest

PAGE = """<!DOCTYPE html><html><head><title>Links for tool</title></head><body><h1>Links for tool</h1>
<a href="../../packages/aa/tool-1.9.tar.gz#sha256=00" data-requires-python="&gt;=3.8">tool-1.9.tar.gz</a><br />
<a href="https://elsewhere.test/tool-1.10-py3-none-any.whl#sha256=11"> tool-1.10-py3-none-any.whl </a><br/>
<a href="/tool-2.0rc1.tar.gz">tool-2.0rc1.tar.gz</a><a href="x">tool-1.9.exe</a><a>none</a></body></html>"""
ANSWERS = {
    "text/html; charset=UTF-8": PAGE,
    JSON: json.dumps({
        "files": [{"filename": "tool-1.9.tar.gz", "url": "../../packages/aa/tool-1.9.tar.gz"}],
        "versions": ["1.9", "1.10", "2.0rc1", "odd"],
    }),
}  # fmt: skip


@contextmanager
def index(kind: str, body: str) -> Iterator[Mirrors]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/simple/tool/" and JSON in str(self.headers["Accept"])
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield Mirrors(pypi=f"http://127.0.0.1:{port}/simple")


@pytest.mark.parametrize("kind", ANSWERS)
def test_either_form_is_read(kind: str) -> None:
    with index(kind, ANSWERS[kind]) as settings:
        found = file_url(settings, "Tool", "tool-1.9.tar.gz")
        assert found.endswith("/packages/aa/tool-1.9.tar.gz") and found.startswith("http://127.0.0.1:")
        assert newest(settings, "tool") == "1.10"
        with pytest.raises(SourceError, match=r"no file tool-3\.tar\.gz"):
            file_url(settings, "tool", "tool-3.tar.gz")


def test_a_link_of_another_host() -> None:
    files = {each["filename"]: each["url"] for each in in_html(PAGE)["files"]}
    assert files["tool-1.10-py3-none-any.whl"] == "https://elsewhere.test/tool-1.10-py3-none-any.whl"
    assert "none" not in files


@pytest.mark.parametrize("body", ["", "[]", "{}", "no JSON", '{"files": 1}'])
def test_what_is_no_index_is_an_error(body: str) -> None:
    with index(JSON, body) as settings, pytest.raises(SourceError, match=r"index|JSON"):
        newest(settings, "tool")
