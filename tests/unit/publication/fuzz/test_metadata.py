"""Metadata of repositories that anybody may have written: nothing but errors of them, and no path that leads out."""

from __future__ import annotations

import contextlib
import gzip
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from photonbuild.errors import StoreError, VerifyError
from photonbuild.publication.index import read_advisories, read_index, read_packages
from photonbuild.publication.ledger import parse_ledger
from photonbuild.sources.pypi import in_html
from tests.support.fuzz import for_a_while, mutated


def inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/")


@for_a_while
@given(mutated("repomd"))
def test_an_index(data: bytes) -> None:
    with contextlib.suppress(VerifyError):
        for listed in read_index(data, "where").metadata.values():
            assert inside(listed.path) and 0 < listed.size <= 256 << 20


@for_a_while
@given(mutated("primary"))
def test_packages(data: bytes) -> None:
    with contextlib.suppress(VerifyError):
        assert all(inside(listed.path) for listed in read_packages(gzip.compress(data, 1), "where"))


@for_a_while
@given(mutated("updateinfo"))
def test_advisories(data: bytes) -> None:
    with contextlib.suppress(VerifyError):
        for record in read_advisories(gzip.compress(data, 1), "where"):
            assert record.id is None or isinstance(record.id, str)


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
