"""Tar archives that are the same each time, and files out of a root's."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from photonbuild.errors import ImageError
from photonbuild.images.archive import extract_file, pack

KERNEL = "usr/lib/modules/6.12/vmlinuz"


def test_members_keep_their_order(tmp_path: Path) -> None:
    for name in ("m.ovf", "m.mf", "m-disk1.vmdk"):
        (tmp_path / name).write_text(name)
    pack(tmp_path / "m.ova", {name: tmp_path / name for name in ("m.ovf", "m.mf", "m-disk1.vmdk")}, 1767225600)
    with tarfile.open(tmp_path / "m.ova") as tar:
        assert tar.getnames() == ["m.ovf", "m.mf", "m-disk1.vmdk"]
        assert {member.mtime for member in tar.getmembers()} == {1767225600}


def test_one_file_comes_out_of_a_root(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        member = tarfile.TarInfo(f"./{KERNEL}")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    for name in (KERNEL, f"/{KERNEL}"):
        extract_file(tmp_path / "root.tar", name, tmp_path / "kernel")
        assert (tmp_path / "kernel").read_bytes() == b"abc"
    with pytest.raises(ImageError, match="not in the packages") as caught:
        extract_file(tmp_path / "root.tar", "usr/lib", tmp_path / "kernel")
    assert caught.value.where == "/usr/lib"
