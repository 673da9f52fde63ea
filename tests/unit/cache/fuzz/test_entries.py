"""Entries of a cache that anybody may have written: nothing but errors of the store, and nothing that is believed."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import given

from photonbuild.cache.gc import _blobs
from photonbuild.cache.manifest import LARGEST, MOST_INLINE, decode, inline
from photonbuild.cache.parts import NAME, unpack_files, unpack_json
from photonbuild.cache.signature import PublicKey, verify
from photonbuild.errors import StoreError
from tests.support.fuzz import for_a_while, mutated, seeds

KEY = PublicKey(name="team", raw=b"\0" * 32)


@for_a_while
@given(mutated("cache-entries"))
def test_an_envelope(data: bytes) -> None:
    with contextlib.suppress(StoreError):
        payload, key = verify(data, [KEY])
        raise AssertionError(f"believed {payload!r} of {key}")
    assert all(isinstance(path, str) for path in _blobs(data))


@for_a_while
@given(mutated("cache-manifests"))
def test_a_manifest(data: bytes) -> None:
    with contextlib.suppress(StoreError):
        found = decode(data, kind="package", name="zlib", key="a" * 64)
        for part in found.parts.values():
            assert 0 <= part.size <= LARGEST
            assert len(inline(part) or b"") <= MOST_INLINE


@for_a_while
@given(mutated("cache-parts"))
def test_a_part(data: bytes) -> None:
    with contextlib.suppress(StoreError):
        unpack_json(data, 1 << 16)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "packed").write_bytes(data)
        (out := Path(folder) / "out").mkdir()
        with contextlib.suppress(StoreError):
            unpack_files(Path(folder) / "packed", out, size=1 << 16)
        found = [path.name for path in out.rglob("*")]
        assert all(NAME.fullmatch(name) for name in found)
        assert {path.name for path in Path(folder).iterdir()} == {"packed", "out"}


def test_the_corpus_is_of_real_entries() -> None:
    assert len(seeds("cache-entries")) >= 2
    (package,) = [data for data in seeds("cache-manifests") if b'"zlib"' in data]
    assert decode(package, kind="package", name="zlib", key="a" * 64).parts.keys() == {"record", "packages"}
