"""Metadata of repositories that anybody may have written: nothing but errors of them, and no path that leads out."""

from __future__ import annotations

import contextlib
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from photonbuild.errors import StoreError, VerifyError
from photonbuild.installer.errors import FetchError
from photonbuild.installer.fetch import metadata, repository, resolve
from photonbuild.publication.index import read_advisories, read_index, read_packages
from photonbuild.publication.ledger import parse_ledger
from photonbuild.sources.pypi import in_html
from tests.support.fuzz import for_a_while, mutated


def inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/")


@for_a_while
@given(mutated("repomd"))
def test_an_index(data: bytes) -> None:
    with contextlib.suppress(FetchError):
        href, digest = repository.primary_of(data, "where")
        assert inside(href) and len(digest) == 64
    with contextlib.suppress(VerifyError):
        for listed in read_index(data, "where").metadata.values():
            assert inside(listed.path) and 0 < listed.size <= 256 << 20


@for_a_while
@given(mutated("primary"))
def test_packages(data: bytes) -> None:
    with contextlib.suppress(FetchError):
        found = repository.packages_of(data, "https://host/repo", "where")
        for package in found:
            assert package.url.startswith("https://host/repo/") and inside(
                package.url.removeprefix("https://host/repo/")
            )
            assert package.url.isascii() and package.url.isprintable()
        for one in found:
            assert resolve.compare(one, one) == 0
            for other in found:
                assert resolve.compare(one, other) == -resolve.compare(other, one)
        resolve.with_required(found, found, set)
        resolve.providers("x is needed by y", found)
    with contextlib.suppress(VerifyError):
        assert all(inside(listed.path) for listed in read_packages(gzip.compress(data, 1), "where"))


@for_a_while
@given(mutated("updateinfo"))
def test_advisories(data: bytes) -> None:
    with contextlib.suppress(VerifyError):
        for record in read_advisories(gzip.compress(data, 1), "where"):
            assert record.id is None or isinstance(record.id, str)


@for_a_while
@given(mutated("primary"), st.integers(0, 3), st.binary(max_size=8), st.integers(0, 40))
def test_packed(data: bytes, parts: int, tail: bytes, cut: int) -> None:
    packed = b"".join(gzip.compress(data, 1) for _ in range(parts)) + tail
    with tempfile.TemporaryDirectory() as work, contextlib.suppress(FetchError):
        found = metadata.unpacked(packed[: len(packed) - cut], "x.xml.gz", Path(work), limit=4096)
        assert len(found) <= 4096 and (data * parts).startswith(found)


VERSIONS = st.text("0123456789abzAZ.~^+_-", max_size=12)


@for_a_while
@given(VERSIONS, VERSIONS, VERSIONS)
def test_an_order(one: str, two: str, three: str) -> None:
    compare = resolve.compare_versions
    assert compare(one, one) == 0 and compare(one, two) == -compare(two, one)
    if compare(one, two) <= 0 and compare(two, three) <= 0:
        assert compare(one, three) <= 0


ODD = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=6), st.lists(st.text(max_size=4), max_size=3))


@for_a_while
@given(
    st.dictionaries(st.sampled_from(["content", "publications"]), st.one_of(ODD, st.lists(ODD, max_size=2))),
    st.binary(),
)
def test_a_record_of_publications(value: dict[str, Any], data: bytes) -> None:
    publication = {"time": value.get("content"), "revision": "1", "primary": "x", "files": value.get("publications")}
    for text in (json.dumps(value).encode(), json.dumps({"content": {}, "publications": [publication]}).encode(), data):
        with contextlib.suppress(StoreError):
            ledger = parse_ledger(text, "where")
            assert parse_ledger(ledger.dump(), "where") == ledger


@for_a_while
@given(mutated("pypi"))
def test_a_page_of_links(data: bytes) -> None:
    found = in_html(data.decode(errors="replace"))
    assert all(each["filename"] and each["url"] for each in found["files"]) and all(found["versions"])
