"""The VHD of Azure: its footer, by the specification."""

from __future__ import annotations

import struct

import pytest

from photonbuild.images.formats import azure

GIB = 1 << 30


def test_vhd_footer() -> None:
    footer = azure.vhd_footer(GIB, identity="i", epoch=azure.VHD_EPOCH + 5)
    assert len(footer) == 512 and footer.startswith(b"conectix")
    # The specification's checksum: one's complement of the sum of all bytes, its own place taken as zero.
    stated = struct.unpack_from(">I", footer, 64)[0]
    assert stated == ~sum(footer[:64] + bytes(4) + footer[68:]) & 0xFFFFFFFF
    assert struct.unpack_from(">I", footer, 24)[0] == 5
    assert struct.unpack_from(">QQ", footer, 40) == (GIB, GIB)
    assert struct.unpack_from(">I", footer, 60)[0] == 2
    # Those of which QEMU before 10 takes the size instead of cylinders, heads and sectors (block/vpc.c).
    assert footer[28:32] in (b"win ", b"d2v ", b"qem2", b"tap\0", b"CTXS")


@pytest.mark.parametrize(
    ("size", "geometry"),
    [(3 << 20, (90, 4, 17)), (GIB, (2080, 16, 63)), (127 * GIB, (65278, 16, 255))],
)
def test_vhd_geometry(size: int, geometry: tuple[int, int, int]) -> None:
    assert azure.vhd_geometry(size // 512) == geometry
