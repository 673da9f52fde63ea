"""A Btrfs that is filled without a mount: all that a tar can hold is in it, and it is the same twice."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.disk.gpt import Partition
from photonbuild.errors import ImageError
from photonbuild.images.filesystems import make_btrfs
from photonbuild.images.request import ImageRequest
from photonbuild.store import Store
from tests.matrix.conftest import session_of
from tests.support.filling import CAPABILITY, filling, programs_of, write_root

pytestmark = pytest.mark.matrix

MIB = 1 << 20
SUBVOLUMES = ("bin", "bin/inner", "lib/docker")
PART = Partition(
    name="data", start=MIB, size=192 * MIB, uuid="", filesystem_uuid="8a3c0e2e-9bb6-4f14-9c2b-0d8f6d2f9b11"
)


@pytest.fixture
def request_(tmp_path: Path, configuration: Config, store: Store) -> ImageRequest:
    return filling(tmp_path, session_of(configuration, store), "btrfs")


def made(request: ImageRequest, part: Partition = PART) -> Path:
    disk = request.folder / "disk.raw"
    with disk.open("wb") as handle:
        handle.truncate(part.start + part.size + MIB)
    make_btrfs(request, part, "/root.tar", SUBVOLUMES)
    return disk


def test_everything_is_there_twice_the_same(request_: ImageRequest, store: Store) -> None:
    """mkfs.btrfs has been followed by `btrfs check --check-data-csum`: here is what it checked."""
    disk = made(request_)
    digest = hashlib.sha256(disk.read_bytes()).hexdigest()
    content = disk.read_bytes()
    assert hashlib.sha256(made(request_).read_bytes()).hexdigest() == digest
    assert content[: PART.start].count(0) == PART.start and content[-MIB:].count(0) == MIB, "written beside its place"
    (request_.folder / "part").write_bytes(content[PART.start : -MIB])
    sandbox = programs_of(request_, store)

    def dump(*words: str) -> str:
        return sandbox.run(["btrfs", "inspect-internal", *words, "/work/part"]).stdout

    superblock = dump("dump-super", "-f")
    assert f"fsid\t\t\t{PART.filesystem_uuid}" in superblock and re.search(r"label\t+data\n", superblock)
    assert f"total_bytes\t\t{PART.size}" in superblock
    tree = dump("dump-tree")
    names = re.findall(r"root ref key dirid \d+ sequence \d+ name (\S+)", tree)
    assert sorted(names) == ["bin", "docker", "inner"]
    trees = dict(re.findall(r"^file tree key \((\d+) ROOT_ITEM 0\)(.*?)(?=^\S+ tree key )", tree, re.S | re.M))
    inside = entries(trees["256"])
    # Mode, links, user, group and time of change; a hard link is one inode.
    assert inside["su"] == inside["other"] == ("106755", "2", "7", "8", "1767225600")
    assert inside["old"] == ("100644", "1", "0", "0", "1000000000")
    assert inside["soft"][0] == "120777" and inside["pipe"][0] == "10600"
    top = re.search(r"^fs tree key(.*?)(?=^\S+ tree key )", tree, re.S | re.M)
    assert top and entries(top[1])["tmp"][0] == "41777", "the sticky bit"
    assert "data a\\ folder" in trees["256"] and "name: security.capability" in trees["256"]
    assert CAPABILITY in content and b"../bin/su" in content


def entries(tree: str) -> dict[str, tuple[str, ...]]:
    """Facts of the inodes in the topmost folder of a tree that `btrfs inspect-internal dump-tree` shows, by name."""
    facts = r"mode (\d+) links (\d+) uid (\d+) gid (\d+) .*?mtime (\d+)"
    inodes = {
        found[1]: found.groups()[1:]
        for found in re.finditer(rf"key \((\d+) INODE_ITEM 0\) itemoff(?:(?!\bitem ).)*?{facts}", tree, re.S)
    }
    names = re.findall(
        r"key \(256 DIR_INDEX \d+\)[^\n]*\n\s+location key \((\d+) INODE_ITEM 0\).*?name: (\S+)", tree, re.S
    )
    return {name: inodes[number] for number, name in names}


@pytest.mark.parametrize(
    ("name", "fields", "size", "message"),
    [
        ("./null", {"type": b"3", "devmajor": 1, "devminor": 3}, PART.size, "/null is a device"),
        ("./x", {"content": "x" * (60 * MIB)}, 128 * MIB, "there are 128 MiB"),
    ],
)
def test_what_does_not_go_in(
    request_: ImageRequest, tmp_path: Path, name: str, fields: dict[str, object], size: int, message: str
) -> None:
    write_root(tmp_path, name=name, **fields)
    with pytest.raises(ImageError) as caught:
        made(request_, replace(PART, size=size))
    assert message in str(caught.value.detail)
