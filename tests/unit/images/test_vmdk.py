"""The streamOptimized VMDK: its content ID follows from the content."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from photonbuild.errors import ImageError
from photonbuild.images import vmdk


@pytest.mark.parametrize("written", ["9f3a1c77", "9f3a1c7", "0"])
def test_the_content_id_is_that_of_the_identity(tmp_path: Path, written: str) -> None:
    """Also where the random one is short: qemu-img writes it without leading zeros."""
    header = struct.pack("<4sIIQQQQ", b"KDMV", 3, 0, 2048, 128, 1, 1).ljust(512, b"\0")
    text = b"# Disk DescriptorFile\nversion=1\nCID=%s\nparentCID=ffffffff\n" % written.encode()
    path = tmp_path / "disk.vmdk"
    path.write_bytes(header + text.ljust(512, b"\0") + b"data")
    vmdk.set_content_id(path, "0123456789")
    assert (
        path.read_bytes()
        == header + text.replace(b"\nCID=" + written.encode(), b"\nCID=01234567").ljust(512, b"\0") + b"data"
    )
    path.write_bytes(b"no such thing".ljust(512))
    with pytest.raises(ImageError, match="not a VMDK"):
        vmdk.set_content_id(path, "0123456789")
