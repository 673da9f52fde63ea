"""What is not zero in a file, whatever its file system keeps as holes; a sparse archive of it, read by two others."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from photonbuild.images.sparse import BLOCK, CHUNK, copy_data, data_ranges, number, sparse_header, write_sparse_tar
from photonbuild.run import run


def file_of(path: Path, size: int, places: dict[int, bytes], *, dense: bool = False) -> Path:
    """A file with some bytes at some places; zeros that lie on the disk, or holes."""
    with path.open("wb") as out:
        if dense:
            out.write(bytes(size))
        out.truncate(size)
        for place, data in places.items():
            out.seek(place)
            out.write(data)
    return path


def test_data_is_copied_to_another_place(tmp_path: Path) -> None:
    source = file_of(tmp_path / "source", 4 * CHUNK, {0: b"no", CHUNK - 1: b"ab", 3 * CHUNK: b"c" * BLOCK})
    target = file_of(tmp_path / "target", 5 * CHUNK, {})
    copy_data(source, CHUNK // 2, 2 * CHUNK, target, CHUNK)
    copied = source.read_bytes()[CHUNK // 2 : CHUNK // 2 + 2 * CHUNK]
    assert target.read_bytes() == bytes(CHUNK) + copied + bytes(2 * CHUNK)


SOME = {1: b"a", 3 * BLOCK - 1: b"bc", 2 * CHUNK + 5: b"d" * BLOCK, 5 * CHUNK - 1: b"e"}


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(
    ("size", "places", "ranges"),
    [
        (0, {}, []),
        (CHUNK, {}, []),
        (10, {9: b"x"}, [(0, 10)]),
        (CHUNK + 10, {CHUNK: b"x"}, [(CHUNK, 10)]),
        (5 * CHUNK, SOME, [(0, BLOCK), (2 * BLOCK, 2 * BLOCK), (2 * CHUNK, 2 * BLOCK), (5 * CHUNK - BLOCK, BLOCK)]),
    ],
)
def test_ranges_are_those_of_the_content(
    tmp_path: Path, size: int, places: dict[int, bytes], ranges: list[tuple[int, int]], dense: bool
) -> None:
    path = file_of(tmp_path / "file", size, places, dense=dense)
    # A range that ends a chunk and one that begins the next are one.
    assert data_ranges(path) == ranges


@pytest.mark.parametrize("pieces", [0, 1, 3, 4, 24, 25, 90])
def test_an_archive_is_read_by_gnu_tar_and_by_python(tmp_path: Path, pieces: int) -> None:
    places = {piece * 7 * BLOCK: bytes([piece + 1]) * 100 for piece in range(pieces)}
    source = file_of(tmp_path / "disk.raw", 3 * CHUNK + 512, places)
    write_sparse_tar(tmp_path / "a.tar", "disk.raw", source, 1767225600)
    for folder in ("gnu", "python"):
        (tmp_path / folder).mkdir()
    run(["tar", "--extract", "--sparse", f"--file={tmp_path}/a.tar", f"--directory={tmp_path}/gnu"])
    with tarfile.open(tmp_path / "a.tar") as archive:
        (member,) = archive.getmembers()
        assert (member.size, member.mode, member.mtime, member.uid) == (3 * CHUNK + 512, 0o644, 1767225600, 0)
        archive.extract(member, tmp_path / "python", filter="data")
    for folder in ("gnu", "python"):
        assert (tmp_path / folder / "disk.raw").read_bytes() == source.read_bytes(), folder
    assert (tmp_path / "a.tar").stat().st_size % 10240 == 0


def test_the_same_archive_of_a_file_without_holes(tmp_path: Path) -> None:
    archives = []
    for dense in (False, True):
        source = file_of(tmp_path / "disk.raw", 5 * CHUNK, SOME, dense=dense)
        write_sparse_tar(tmp_path / "a.tar", "disk.raw", source, 0)
        archives.append((tmp_path / "a.tar").read_bytes())
    assert archives[0] == archives[1]


def test_sizes_from_8_gib_on() -> None:
    assert number((1 << 33) - 1) == b"77777777777\0"
    assert number(1 << 33) == b"\x80" + (1 << 33).to_bytes(11, "big")
    (header,) = sparse_header("disk.raw", 1 << 34, [(1 << 33, 512)], 0)
    member = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    assert (member.name, member.type, member.size) == ("disk.raw", b"S", 512), "or the checksum is wrong"
    assert header[257:265] == b"ustar  \0", "not GNU's old format"
