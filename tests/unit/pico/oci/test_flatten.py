"""Layers merged into one tree."""

from __future__ import annotations

import struct
import tarfile
from pathlib import Path

import pytest

from pico.errors import PicoError
from pico.oci import flatten
from pico.oci.bounds import Limits
from tests.support.oci_images import (
    Entry,
    file,
    layer,
    other,
)

LIMITS = Limits(size=1 << 30, names=1000)


def merged(tmp_path: Path, *stack: list[Entry]) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """The members of the flattened layers by name, with their content."""
    paths = []
    for number, entries in enumerate(stack):
        paths.append(tmp_path / f"layer{number}.tar")
        paths[-1].write_bytes(layer(entries))
    count = flatten.flatten(paths, tmp_path / "out.tar", LIMITS)
    with tarfile.open(tmp_path / "out.tar") as tar:
        members = tar.getmembers()
        assert len(members) == count
        found = {}
        for member in members:
            content = None if member.issym() else tar.extractfile(member)
            found[member.name] = (member, content.read() if content else b"")
        return found


DIR = tarfile.DIRTYPE


def test_later_layers_replace(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [other("etc", DIR), file("etc/a", b"old", uid=1), file("etc/b", b"b"), file("x", b"file")],
        [file("etc/a", b"new", uid=7, gid=8, mode=0o4755), other("x", DIR), file("x/y", b"in")],
    )
    assert sorted(found) == [".", "etc", "etc/a", "etc/b", "x", "x/y"]
    member, content = found["etc/a"]
    assert (content, member.uid, member.gid, member.mode) == (b"new", 7, 8, 0o4755)
    assert found["x"][0].isdir()


def test_a_folder_keeps_what_is_in_it_and_takes_the_new_mode(tmp_path: Path) -> None:
    found = merged(tmp_path, [other("d", DIR), file("d/a", b"a")], [other("d", DIR, mode=0o700)])
    assert found["d"][0].mode == 0o700
    assert "d/a" in found


def test_whiteouts(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [other("d", DIR), file("d/gone", b"1"), file("d/kept", b"2"), other("o", DIR), file("o/low", b"3")],
        [file("d/.wh.gone"), file("o/high", b"4"), file("o/.wh..wh..opq"), file("none/.wh.there")],
    )
    assert sorted(found) == [".", "d", "d/kept", "o", "o/high"]


def test_a_whiteout_spares_its_own_layer(tmp_path: Path) -> None:
    found = merged(tmp_path, [file("a", b"old")], [file("a", b"new"), file(".wh.a")])
    assert found["a"][1] == b"new"


def test_hard_links_across_layers_share_one_file(tmp_path: Path) -> None:
    found = merged(tmp_path, [file("z", b"content")], [other("a", tarfile.LNKTYPE, "z")])
    assert (found["a"][0].isreg(), found["a"][1]) == (True, b"content")
    assert (found["z"][0].islnk(), found["z"][0].linkname) == (True, "a")


def test_a_hard_link_outlives_the_name_it_was_made_from(tmp_path: Path) -> None:
    found = merged(tmp_path, [file("z", b"content"), other("a", tarfile.LNKTYPE, "z")], [file(".wh.z")])
    assert (found["a"][0].isreg(), found["a"][1], "z" in found) == (True, b"content", False)


def test_folders_reached_through_links(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [other("usr", DIR), other("usr/bin", DIR), other("bin", tarfile.SYMTYPE, "usr/bin")],
        [other("up", tarfile.SYMTYPE, "../../../usr"), file("bin/tool", b"t"), file("up/share", b"s")],
    )
    assert found["usr/bin/tool"][1] == b"t"
    assert found["usr/share"][1] == b"s"
    assert found["bin"][0].issym()


def test_devices_attributes_and_long_names(tmp_path: Path) -> None:
    long = "/".join(["n" * 60] * 4)
    found = merged(
        tmp_path,
        [
            other("null", tarfile.CHRTYPE, device=(1, 3)),
            other("pipe", tarfile.FIFOTYPE),
            file("cap", b"c", xattr_security_capability="\x01\x00\udcff\n=x"),
            file(long, b"l", uid=3_000_000),
            other("link", tarfile.SYMTYPE, long),
        ],
    )
    null = found["null"][0]
    assert (null.ischr(), null.devmajor, null.devminor) == (True, 1, 3)
    assert found["pipe"][0].isfifo()
    assert found["cap"][0].pax_headers["SCHILY.xattr.security.capability"] == "\x01\x00\udcff\n=x"
    assert (found[long][1], found[long][0].uid) == (b"l", 3_000_000)
    assert found["link"][0].linkname == long


@pytest.mark.parametrize(
    "entry",
    [file("../evil", b""), file("a/../../evil", b""), other("l", tarfile.LNKTYPE, "../../etc/passwd")],
    ids=lambda entry: entry[0].name,
)
def test_names_that_lead_out_are_refused(tmp_path: Path, entry: Entry) -> None:
    with pytest.raises(PicoError, match="leads out of the image"):
        merged(tmp_path, [entry])


def test_a_hard_link_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PicoError, match="which is no file"):
        merged(tmp_path, [other("a", tarfile.LNKTYPE, "missing")])


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PicoError, match="too many symbolic links"):
        merged(tmp_path, [other("a", tarfile.SYMTYPE, "b"), other("b", tarfile.SYMTYPE, "a"), file("a/x", b"")])


LINK = tarfile.SYMTYPE


@pytest.mark.parametrize(
    "upper",
    [
        [other("a", DIR), file("a/.wh.x")],
        [file("a/.wh.x")],
        [file("a/.wh.x"), other("a", DIR)],
        [file("a/.wh..wh..opq"), other("a", DIR)],
    ],
)
def test_a_whiteout_is_followed_through_no_link_of_a_lower_layer(tmp_path: Path, upper: list[Entry]) -> None:
    """The link was replaced by a folder: what it pointed to is another one."""
    found = merged(tmp_path, [other("b", DIR), file("b/x", b"other"), other("a", LINK, "b")], upper)
    assert found["b/x"][1] == b"other"


def test_a_whiteout_goes_before_what_its_layer_has_under_the_name(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [other("b", DIR), other("a", LINK, "b"), other("d", DIR), file("d/low")],
        [file("a/new", b"n"), file(".wh.a"), other("d", DIR), file("d/high"), file(".wh.d")],
    )
    assert sorted(found) == [".", "a", "a/new", "b", "d", "d/high"]
    assert found["a"][0].isdir()


def test_whiteouts_that_name_nothing(tmp_path: Path) -> None:
    found = merged(
        tmp_path, [file("a"), file("f")], [file(".wh."), file(".wh..."), file("f/.wh.x"), file(".wh..wh.plnk")]
    )
    assert sorted(found) == [".", "a", "f"]


def bad(tmp_path: Path, content: bytes, limits: Limits = LIMITS) -> str:
    path = tmp_path / "layer.tar"
    path.write_bytes(content)
    with pytest.raises(PicoError) as caught:
        flatten.flatten([path], tmp_path / "out.tar", limits)
    return caught.value.message


def header(**fields: object) -> bytes:
    info = tarfile.TarInfo("x")
    for name, value in fields.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def summed(block: bytes) -> bytes:
    """With its checksum."""
    block = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def test_headers_that_cannot_be(tmp_path: Path) -> None:
    assert "header of more than" in bad(tmp_path, header(type=tarfile.XHDTYPE, size=8 << 30))
    assert "header of more than" in bad(tmp_path, header(type=tarfile.GNUTYPE_LONGNAME, size=2 << 20))
    negative = summed(header()[:124] + struct.pack(">iQ", -1, 2**64 - 512) + header()[136:])
    assert "size that cannot be" in bad(tmp_path, negative)
    assert "owner that cannot be" in bad(tmp_path, header(uid=2**40))
    for name in ("a" * 256, "a/" * 2100):
        assert "name that cannot be" in bad(tmp_path, layer([file(name)]))
    assert "link to nothing" in bad(tmp_path, layer([other("l", LINK)]))


@pytest.mark.parametrize("time", ["nan", "inf", "1e300"])
def test_times_that_cannot_be(tmp_path: Path, time: str) -> None:
    info, content = file("x")
    info.pax_headers = {"mtime": time}
    assert "time that cannot be" in bad(tmp_path, layer([(info, content)]))


def test_bombs(tmp_path: Path) -> None:
    assert bad(tmp_path, layer([file(str(n)) for n in range(11)]), Limits(size=1, names=10)) == "more than 10 files"
    assert "too large" in bad(tmp_path, layer([file("a", b"12"), file("b", b"34")]), Limits(size=3, names=10))
    info, content = file("sparse")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,0"}
    info.pax_headers["GNU.sparse.size"] = str(2**50)
    assert "too large" in bad(tmp_path, layer([(info, content)]))


def test_many_extensions_of_one_header(tmp_path: Path) -> None:
    one = header(type=tarfile.XHDTYPE, size=512) + b"11 path=abc\n".ljust(512, b"\0")
    bad(tmp_path, one * 5000 + header())
