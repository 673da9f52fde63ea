"""Tar archives."""

from __future__ import annotations

import io
import tarfile

import pytest

from pico.oci import tarout


@pytest.mark.parametrize("size", [1, 90, 91, 980, 981, 9970])
def test_lengths_of_records_count_themselves(size: int) -> None:
    blocks = tarout.header(b"p" * 101, "file", mode=0, uid=0, gid=0, mtime=0, xattrs={b"user.x": b"v" * size})
    with tarfile.open(fileobj=io.BytesIO(blocks + bytes(1024))) as tar:
        assert tar.getmembers()[0].pax_headers["SCHILY.xattr.user.x"] == "v" * size
