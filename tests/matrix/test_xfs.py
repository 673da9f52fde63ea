"""What a prototype file of mkfs.xfs(8) has no words for is in the file system all the same; nothing is mounted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.disk.gpt import Partition
from photonbuild.errors import ImageError
from photonbuild.images.filesystems import make_xfs
from photonbuild.images.request import ImageRequest
from photonbuild.store import Store
from tests.matrix.conftest import session_of
from tests.support.filling import CAPABILITY, filling, programs_of, write_root

pytestmark = pytest.mark.matrix

MIB = 1 << 20


@pytest.fixture
def request_(tmp_path: Path, configuration: Config, store: Store) -> ImageRequest:
    return filling(tmp_path, session_of(configuration, store), "xfs")


PART = Partition(
    name="root", start=MIB, size=320 * MIB, uuid="", filesystem_uuid="8a3c0e2e-9bb6-4f14-9c2b-0d8f6d2f9b11"
)


def made(request: ImageRequest) -> bytes:
    disk = request.folder / "disk.raw"
    disk.write_bytes(b"")
    with disk.open("r+b") as handle:
        handle.truncate(PART.start + PART.size + MIB)
    make_xfs(request, PART, "/root.tar")
    return disk.read_bytes()


def test_everything_is_there(request_: ImageRequest, store: Store) -> None:
    disk = made(request_)
    (request_.folder / "part").write_bytes(disk[PART.start : PART.start + PART.size])
    sandbox = programs_of(request_, store)
    assert sandbox.run(["xfs_repair", "-n", "/work/part"], check=False).returncode == 0

    def db(path: str, *commands: str) -> str:
        text = "".join(f"{line}\n" for line in (f"path {path}", *commands))
        return sandbox.run(["xfs_db", "-r", "-x", "/work/part"], input=text.encode()).stdout.replace("xfs_db> ", "")

    assert re.search(r"core.mode = 041777", db("/tmp", "print core.mode"))
    assert "core.nlinkv2 = 2" in db("/bin/su", "print core.nlinkv2")
    facts = db("/bin/su", "print core.mode core.uid core.gid core.size")
    assert all(text in facts for text in ("= 0106755", "uid = 7", "gid = 8", "size = 6000")), facts
    assert db("/bin/su", "print core.gen") == db("/bin/other", "print core.gen") != db("/bin/old", "print core.gen")
    assert "Sep  9 01:46:40 2001" in db("/bin/old", "print core.mtime.sec")
    assert "Jan  1 00:00:00 2026" in db("/bin/su", "print core.mtime.sec")
    assert "note" in db("/bin", "attr_list -u -v") and "a folder" in db("/bin", "attr_get -u note")
    assert CAPABILITY in disk, "the value of the attribute"
    assert "capability" in db("/bin/ping", "attr_list -s")
    assert "../bin/su" in db("/bin/soft", "print u3.symlink") + db("/bin/soft", "print")
    assert "core.mode = 010600" in db("/bin/pipe", "print core.mode")


def test_the_same_twice(request_: ImageRequest) -> None:
    assert made(request_) == made(request_)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("./bin/a b", {}, "the name 'a b' cannot be written in a prototype file"),
        ("./bin/x", {"pax_headers": {"SCHILY.xattr.system.posix_acl_access": "x"}}, "system.posix_acl_access"),
    ],
)
def test_what_cannot_be_expressed_is_an_error(
    request_: ImageRequest, tmp_path: Path, name: str, fields: dict[str, object], message: str
) -> None:
    write_root(tmp_path, name=name, **fields)
    with pytest.raises(ImageError) as caught:
        made(request_)
    assert message in str(caught.value.detail)
