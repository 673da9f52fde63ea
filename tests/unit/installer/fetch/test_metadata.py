"""Metadata that a server made up to harm its reader."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib
from pathlib import Path

import pytest

from photonbuild.errors import PhotonbuildError
from photonbuild.installer.errors import FetchError
from photonbuild.installer.fetch import metadata
from photonbuild.installer.fetch.metadata import each_child, unpacked
from photonbuild.installer.fetch.repository import packages_of, primary_of
from photonbuild.installer.fetch.resolve import compare_versions
from tests.support.installer import ENTRY, PRIMARY
from tests.support.mutations import mutations

BOMB = b"""<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><a><b>&c;</b></a>"""
SYSTEM = b"""<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "it has a document type"),
        (SYSTEM, "it has a document type"),
        (b"<a>" + b"<b>" * 40, "more than 32 elements are in each other"),
        (b"<a><b>&c;</b></a>", "not valid XML: undefined entity"),
        (b"<a>\0</a>", "not valid XML"),
        (b"<?xml version='1.0' encoding='none'?><a/>", "not valid XML"),
        (b"", "not valid XML"),
        (b"<a><b></a>", "not valid XML"),
    ],
)
def test_xml_out_of_bounds(text: bytes, message: str) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        each_child(text, "r", lambda entry: None)
    assert caught.value.where == "r"


def test_a_child_is_forgotten_when_it_is_taken() -> None:
    text = b"<a>" + b"<b><c d='e'>f</c></b>" * 100_000 + b"</a>"
    found = []
    tracemalloc.start()
    each_child(text, "r", lambda entry: found.append(entry[0].text))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ["f"] * 100_000
    assert peak < 4 * len(text), "a tree of all would have fifteen times the text"


def test_gzip(tmp_path: Path) -> None:
    def plain(data: bytes, limit: int = 1000) -> bytes:
        return unpacked(data, "p.xml.gz", tmp_path, limit)

    assert plain(gzip.compress(b"x" * 1000)) == b"x" * 1000
    assert plain(gzip.compress(b"a") + gzip.compress(b"b") + b"\0\0") == b"ab"
    for data in (gzip.compress(b"x" * 1001), gzip.compress(b"x" * 600) * 2, gzip.compress(b"x" * (100 << 20))):
        with pytest.raises(FetchError, match="larger than 0 MiB when it is unpacked"):
            plain(data)
    for data in (b"x", gzip.compress(os.urandom(99))[:-9], gzip.compress(b"a") + b"x", zlib.compress(b"a")):
        with pytest.raises(FetchError, match="cannot be unpacked"):
            plain(data)


@pytest.mark.parametrize("suffix", ["zst", "xz"])
def test_by_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """A program on PATH stands for the real one, whose words and whose limit by the kernel are the same."""
    program = metadata.PROGRAMS[f".{suffix}"]
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / program).write_text('#!/bin/sh\n[ "$*" = "--decompress --quiet --stdout" ] && exec cat\n')
    (tools / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    assert unpacked(b"x" * 1000, f"p.xml.{suffix}", tmp_path / "work", 1000) == b"x" * 1000
    with pytest.raises(FetchError, match="larger than 0 MiB when it is unpacked"):
        unpacked(b"x" * 100_000, f"p.xml.{suffix}", tmp_path / "work", 1000)
    (tools / program).write_text("#!/bin/sh\necho half; exit 1\n")
    with pytest.raises(FetchError, match=f"{program} failed with exit code 1"):
        unpacked(b"x", f"p.xml.{suffix}", tmp_path / "work", 1000)
    assert list((tmp_path / "work").iterdir()) == []


GOOD = {"name": "a", "arch": "noarch", "version": "1", "sha256": "0" * 64, "size": "1"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "-a"), ("name", ""), ("name", "a/b"), ("version", "1 --root=/"), ("version", "1/../../x"),
        ("sha256", "0"), ("sha256", "g" * 64), ("size", "many"), ("size", "-1"), ("size", "9" * 5000),
        ("size", "\u0661"),
    ],
)  # fmt: skip
def test_entries_of_odd_forms(key: str, value: str) -> None:
    text = PRIMARY.format(ENTRY.format(**GOOD | {key: value})).encode()
    with pytest.raises(FetchError, match="odd"):
        packages_of(text, "https://h", "r")
    assert len(packages_of(PRIMARY.format(ENTRY.format(**GOOD)).encode(), "https://h", "r")) == 1


@pytest.mark.parametrize("place", ["../a.rpm", "/a.rpm", "a/../../b.rpm", "%2e%2e/a.rpm", "a.txt"])
def test_places_out_of_the_repository(place: str) -> None:
    text = PRIMARY.format(ENTRY.format(**GOOD)).replace("a-1.rpm", place).encode()
    with pytest.raises(FetchError, match="has the odd place"):
        packages_of(text, "https://h", "r")


def test_an_address_is_quoted() -> None:
    text = PRIMARY.format(ENTRY.format(**GOOD)).replace("a-1.rpm", "a b?c#d.rpm").encode()
    assert packages_of(text, "https://h", "r")[0].url == "https://h/a%20b%3Fc%23d.rpm"
    assert packages_of(text, "file:/r", "r")[0].url == "file:/r/a b?c#d.rpm"


def test_versions_of_very_many_digits() -> None:
    assert compare_versions("9" * 10_000, "1" + "0" * 10_000) == -1
    assert compare_versions("0" * 10_000 + "1", "1") == 0


@pytest.mark.parametrize("seed", range(8))
def test_damaged_metadata(seed: int) -> None:
    """Whatever is changed, there are packages or an error of ours. All of it takes two seconds."""
    index = (
        '<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary"><checksum type="sha256">'
        f'{"0" * 64}</checksum><location href="repodata/p.xml.gz"/></data></repomd>'
    )
    entries = "".join(ENTRY.format(**GOOD | {"name": name}) for name in "abc")
    texts = (index.encode(), PRIMARY.format(entries).encode())
    for text in mutations(texts, seed, 250):
        for parse in (lambda data: primary_of(data, "r"), lambda data: packages_of(data, "https://h", "r")):
            try:
                parse(text)
            except PhotonbuildError as error:
                assert error.where == "r"
