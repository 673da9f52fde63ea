"""Records of builds and listings of seeds that came from a cache: what is in them, and what is none."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from photonbuild.cache.caches import Caches
from photonbuild.cache.entry import RECORD, Cache, Packer
from photonbuild.cache.parts import pack_json
from photonbuild.cache.places import FolderPlace
from photonbuild.cache.signature import load_signer, new_key
from photonbuild.packages.files import are_here, holds
from photonbuild.packages.shared import complete, find_shared
from photonbuild.seeds import cached
from photonbuild.seeds.frozen import FrozenSeed, is_inside, resolves
from photonbuild.store import Store

KEY = "a" * 64
FILELISTS = (
    '<package pkgid="1" name="app" arch="x86_64"><version epoch="0" ver="1" rel="1"/>'
    '<file>/usr/bin/app</file><file type="dir">/etc/app</file></package>'
)
PACKAGE = {
    "name": "app",
    "nevra": "app-1-1.x86_64",
    "arch": "x86_64",
    "file": "app-1-1.x86_64.rpm",
    "source": "app-1-1.src.rpm",
    "sha256": "b" * 64,
    "file_size": 1,
    "installed_size": 2,
    "license": "Apache-2.0",
    "provides": [{"name": "app", "relation": "=", "version": "1-1"}],
    "requires": [{"name": "/usr/bin/sh", "relation": "", "version": ""}],
    "elf": [["/usr/bin/app", "c" * 64]],
}
RECORD_OF_APP: dict[str, Any] = {
    "build": {"packages": [PACKAGE], "seconds": 1.0, "cpu_seconds": 2.0, "peak_rss": 3, "scratch_bytes": 4},
    "inputs": {"arch": "x86_64"},
    "metadata": {"app-1-1.x86_64.rpm": ["<p/>", FILELISTS, "<o/>"]},
    "debug": [],
}


def machine(folder: Path, value: object, said: list[str]) -> Caches:
    """A machine that sees one package, of which a trusted key has signed this record."""
    _, path = new_key("team", folder / "keys")
    signer = load_signer(str(path))
    assert signer is not None
    place = Cache("team", FolderPlace(folder / "cache", make=True), True)
    caches = Caches(
        store=Store.open(folder / "store"), caches=[place], trusted=[signer.public], signer=signer, warn=said.append
    )
    data, size = pack_json(value)

    def write(target: Path) -> int:
        target.write_bytes(data)
        return size

    packer: Packer = write
    caches.push("package", "app", KEY, {RECORD: packer})
    return caches


def test_a_record_is_a_build_whose_files_are_not_here(tmp_path: Path) -> None:
    said: list[str] = []
    caches = machine(tmp_path, RECORD_OF_APP, said)
    built = find_shared(caches, caches.store, "app", KEY)
    assert built is not None and built.shared is not None and built.shared.cache == "team" and said == []
    assert not are_here(built) and built.cpu_seconds == 2.0
    (package,) = built.packages
    assert package.path.parents[1] == built.folder and package.sha256 == "b" * 64
    for path in ("/usr/bin/app", "/etc/app", "/etc/app/", "/usr/bin", "/usr"):
        assert holds(built, package, path)
    for path in ("/usr/bin/ap", "/etc/app/x", "/bin/app", "usr/bin/app"):
        assert not holds(built, package, path)
    # The cache has no more than the record: whoever wants all of it builds it.
    seed = FrozenSeed(name="build", digest=KEY, root=tmp_path, elf=frozenset())
    assert complete(caches, caches.store, seed, built) is None


def wrong_records() -> list[Any]:
    def changed(*path: object, value: object) -> Any:
        record = copy.deepcopy(RECORD_OF_APP)
        place: Any = record
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return record

    return [
        [],
        "text",
        {},
        changed("build", value=[]),
        changed("build", "packages", value=5),
        changed("build", "packages", 0, "file", value="../../../etc/passwd"),
        changed("build", "packages", 0, "file", value="/etc/passwd"),
        changed("build", "packages", 0, "name", value="../up"),
        changed("build", "packages", 0, "file", value=7),
        changed("build", "packages", 0, "provides", value=[{}]),
        changed("build", "packages", 0, "elf", value=[[1]]),
        changed("metadata", value={}),
        changed("metadata", "app-1-1.x86_64.rpm", value=["one"]),
        changed("inputs", value=3),
    ]


@pytest.mark.parametrize("number", range(len(wrong_records())))
def test_what_is_no_record_is_refused(tmp_path: Path, number: int) -> None:
    said: list[str] = []
    caches = machine(tmp_path, wrong_records()[number], said)
    assert find_shared(caches, caches.store, "app", KEY) is None
    (text,) = said
    assert "its record is none of a build" in text
    # It is not asked for again.
    assert find_shared(caches, caches.store, "app", KEY) is None and len(said) == 1


def test_a_listing_answers_as_the_tree_does(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for folder in ("usr/bin", "usr/lib", "etc"):
        (root / folder).mkdir(parents=True)
    (root / "usr/bin/sh").touch()
    links = {"bin": "usr/bin", "lib": "/usr/lib", "loop": "loop", "up": "../../..", "etc/out": "../../etc", "gone": "x"}
    for name, target in links.items():
        (root / name).symlink_to(target)
    paths = cached._paths(root)
    asked = ["/", "/bin/sh", "/usr/bin/sh", "/lib", "/lib/x", "/loop", "/loop/x", "/up/bin/sh", "/up", "/etc/out/out"]
    asked += ["/gone", "/usr/../bin/./sh", "//usr//bin/", "/usr/bin/sh/x", "/none/../usr", "/usr/bin/sh/.."]
    for path in asked:
        there = resolves(path, paths.get, lambda place: place == "" or place in paths)
        assert there == is_inside(root, path), path
