"""What a prototype file of mkfs.xfs(8) has no words for is in the file system all the same; nothing is mounted."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.disk.gpt import Partition
from photonbuild.errors import ImageError
from photonbuild.images.filesystems import make_xfs
from photonbuild.images.request import ImageRequest
from photonbuild.images.rootfs import RootfsResult
from photonbuild.packages.buildroot import with_requirements
from photonbuild.packages.built import tree_of
from photonbuild.pipeline.build import build_packages
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.store import Store
from tests.matrix.conftest import session_of
from tests.support.image_requests import image_request

pytestmark = pytest.mark.matrix

MIB = 1 << 20
EPOCH = 1767225600
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw+ep, version 2


def add(archive: tarfile.TarFile, name: str, kind: bytes, mode: int, **fields: object) -> None:
    info = tarfile.TarInfo(name)
    content = bytes(str(fields.pop("content", "")), "ascii")
    info.type, info.mode, info.mtime, info.size = kind, mode, EPOCH, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(content))


def write_root(tmp_path: Path, *, name: str = "", **more: object) -> Path:
    """A small root with one of everything, and at its end a file of that name."""
    value = CAPABILITY.decode("utf-8", "surrogateescape")
    with tarfile.open(tmp_path / "root.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, ".", tarfile.DIRTYPE, 0o755)
        add(archive, "./tmp", tarfile.DIRTYPE, 0o1777)
        add(archive, "./bin", tarfile.DIRTYPE, 0o755, pax_headers={"SCHILY.xattr.user.note": "a folder"})
        capable = {"SCHILY.xattr.security.capability": value}
        add(archive, "./bin/ping", tarfile.REGTYPE, 0o755, content="ping", pax_headers=capable)
        add(archive, "./bin/su", tarfile.REGTYPE, 0o6755, content="su" * 3000, uid=7, gid=8)
        add(archive, "./bin/other", tarfile.LNKTYPE, 0o755, linkname="./bin/su")
        add(archive, "./bin/soft", tarfile.SYMTYPE, 0o777, linkname="../bin/su")
        add(archive, "./bin/old", tarfile.REGTYPE, 0o644, content="old", mtime=1000000000)
        add(archive, "./bin/pipe", tarfile.FIFOTYPE, 0o600)
        if name:
            add(archive, name, tarfile.REGTYPE, 0o644, **({"content": "x"} | more))
    return tmp_path / "root.tar"


@pytest.fixture
def request_(tmp_path: Path, configuration: Config, store: Store) -> ImageRequest:
    session = session_of(configuration, store)
    tools = configuration.filesystems["xfs"].tools
    done = build_packages(session, [session.spec(name).name for name in tools])
    packages = [
        package
        for name in tools
        for package in with_requirements(session.builder, [name], done, session.spec(name)).values()
    ]
    # A layer of the sandbox, so not the folder that has the sandbox's own in it.
    (tmp_path / "loader").mkdir()
    return image_request(
        tmp_path,
        "raw",
        seed=session.seed.root,
        loader=tmp_path / "loader",
        rootfs=RootfsResult(tar=write_root(tmp_path), kernels=()),
        programs=[tree_of(package) for package in packages],
    )


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
    sandbox = Sandbox(
        layers=[*request_.programs, request_.workspace.seed],
        scratch=store.scratch,
        binds=[Bind(request_.folder, "/work", readonly=False)],
    )
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
