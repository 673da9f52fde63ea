"""Volume groups as LVM2's own tools read them: headers, checksums, text. What its tools say: tests/integration."""

from __future__ import annotations

import re
import struct

import pytest

from photonbuild.disk import lvm

MIB = 1 << 20


def group(*sizes: int, **volumes: int) -> lvm.VolumeGroup:
    """A group over physical volumes of so many MiB with volumes of so many extents."""
    physical = [lvm.PhysicalVolume(id=lvm.identifier("i", f"pv {n}"), size=s * MIB) for n, s in enumerate(sizes)]
    placed = lvm.allocate(volumes, [each.extents for each in physical])
    logical = [lvm.LogicalVolume(name=n, id=lvm.identifier("i", n), segments=s) for n, s in placed.items()]
    return lvm.VolumeGroup(
        name="data", id=lvm.identifier("i", "vg"), physical=tuple(physical), logical=tuple(logical), host="h", time=7
    )


def test_identifiers_are_those_of_lvm() -> None:
    one, same, other = (lvm.identifier(*words) for words in (("a", "x"), ("a", "x"), ("a", "y")))
    assert one == same != other
    assert re.fullmatch("-".join(f"[0-9A-Za-z]{{{n}}}" for n in (6, 4, 4, 4, 4, 4, 6)), one)


def test_the_checksum_is_that_of_lvm() -> None:
    """By the table of LVM2's lib/misc/crc.c, four bits at a time."""
    table = [0] * 16
    for number in range(16):
        value = number
        for _ in range(4):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
        table[number] = value
    found = lvm.FIRST_CRC
    for byte in b"some text":
        found ^= byte
        found = found >> 4 ^ table[found & 15]
        found = found >> 4 ^ table[found & 15]
    assert lvm.checksum(b"some text") == found


def test_headers_lead_to_the_text() -> None:
    made = group(101, 50, one=3)
    for number, physical in enumerate(made.physical):
        header = lvm.header(made, number)
        assert len(header) == lvm.DATA_START and header[:512] == bytes(512)
        magic, sector, crc, offset, kind = struct.unpack_from("<8sQII8s", header, 512)
        assert (magic, sector, offset, kind) == (b"LABELONE", 1, 32, b"LVM2 001")
        assert crc == lvm.checksum(header[512 + 20 : 1024])
        assert header[544:576].decode() == physical.id.replace("-", "")
        size, data, _, _, _, area, length = struct.unpack_from("<7Q", header, 576)
        assert (size, data, area + length) == (physical.size, MIB, MIB)
        assert struct.unpack_from("<I", header, area)[0] == lvm.checksum(header[area + 4 : area + 512])
        place, size, crc = struct.unpack_from("<QQI", header, area + 40)
        text = header[area + place : area + place + size]
        assert text == lvm.metadata(made).encode() + b"\0" and crc == lvm.checksum(text)


def test_the_text() -> None:
    text = lvm.metadata(group(101, 49, one=3, wide=30))
    assert text.count("{") == text.count("}") and text.startswith("data {\n")
    assert re.findall(r"\bpe_count = (\d+)\n", text) == ["25", "12"]
    assert re.findall(r'"(pv\d)", (\d+)', text) == [("pv0", "0"), ("pv0", "3"), ("pv1", "0")]
    assert re.findall(r"start_extent = (\d+)\nextent_count = (\d+)", text) == [("0", "3"), ("0", "22"), ("22", "8")]
    assert lvm.metadata(group(101)) == lvm.metadata(group(101)) and "logical_volumes" not in lvm.metadata(group(101))


def test_volumes_are_in_one_piece_where_they_fit() -> None:
    placed = lvm.allocate({"a": 8, "b": 5, "c": 6, "d": 1}, [10, 10])
    assert {name: [(s.physical, s.start, s.count) for s in found] for name, found in placed.items()} == {
        "a": [(0, 0, 8)], "b": [(1, 0, 5)], "c": [(0, 8, 2), (1, 5, 4)], "d": [(1, 9, 1)],
    }  # fmt: skip
    with pytest.raises(ValueError, match="no room for 'x': 4 MiB are missing"):
        lvm.allocate({"x": 21}, [10, 10])


def test_a_text_that_has_no_room() -> None:
    with pytest.raises(ValueError, match="longer than half"):
        lvm.header(group(8 << 10, **{f"volume{number}": 1 for number in range(2000)}), 0)


def test_sizes() -> None:
    assert [lvm.extents_in(size * MIB) for size in (0, 1, 4, 5, 8, 9)] == [0, 0, 0, 1, 1, 2]
    assert [lvm.extents_for(size * MIB) for size in (1, 4, 5)] == [1, 1, 2]
