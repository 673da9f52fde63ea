"""A seed in a shared cache: what is in it, and its tree. One that is not exactly what its lock names is never taken.

The tree is packed with the ids that it has inside a sandbox, so that root's store and a user's take the same.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photonbuild import code
from photonbuild.cache.caches import Caches
from photonbuild.cache.entry import Found, Packer
from photonbuild.cache.parts import SMALL, pack_file, pack_json, unpack_file
from photonbuild.sandbox.sandbox import Bind
from photonbuild.seeds.archive import tar_argv
from photonbuild.seeds.install import run_inside
from photonbuild.store import Store

FREEZE = "photonbuild.seeds.inside.freeze"
LISTING, TREE = "listing", "tree"
# The program that has frozen it tells its digest again.
SCAN = """\
import json, pathlib, runpy, sys
digest, elf, _ = runpy.run_path("/freeze.py")["scan"](pathlib.Path(sys.argv[1]))
print(json.dumps([digest, elf]))
"""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What is known of a seed without its tree. `paths`: path → target of a link, None of what is none."""

    digest: str
    elf: frozenset[str]
    paths: Mapping[str, str | None] = field(repr=False)


def seed_parts(store: Store, root: Path, digest: str, elf: frozenset[str], *, epoch: int) -> dict[str, Packer]:
    """What is sent of a frozen seed."""

    def listing(target: Path) -> int:
        data, size = pack_json({"digest": digest, "elf": sorted(elf), "paths": _paths(root)})
        target.write_bytes(data)
        return size

    def tree(target: Path) -> int:
        with store.staging() as work:
            host = store.host_sandbox(work)
            host = dataclasses.replace(host, binds=[*host.binds, Bind(root, "/seed")])
            run_inside(store, host, tar_argv(Path("/seed"), epoch, to=work / "seed.tar"))
            return pack_file(work / "seed.tar", target, level=SMALL)

    return {LISTING: listing, TREE: tree}


def _paths(root: Path) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            found[os.path.relpath(path, root)] = os.readlink(path) if os.path.islink(path) else None
    return found


def read_listing(caches: Caches, found: Found) -> Listing:
    """Raises Void."""
    record: Any = caches.json(found, LISTING)
    try:
        digest, elf, paths = record["digest"], record["elf"], record["paths"]
        if all(isinstance(text, str) for text in (digest, *elf, *paths)):
            return Listing(digest=digest, elf=frozenset(elf), paths=dict(paths))
    except (KeyError, TypeError, ValueError):
        pass
    raise caches.refuse(found, "it does not say what is in the seed")


def fetch_tree(caches: Caches, found: Found, store: Store, listing: Listing, publish: Callable[[Path], None]) -> None:
    """Unpack the tree in a sandbox and hand it over for publication. Raises Void unless it is what its digest says."""
    store.need_room()
    with store.staging() as work:
        caches.fetch(found, TREE, work / "packed")
        unpack_file(work / "packed", work / "seed.tar", size=found.manifest.parts[TREE].unpacked)
        (work / "packed").unlink()
        (work / "root").mkdir()
        host = store.host_sandbox(work)
        host = dataclasses.replace(host, binds=[*host.binds, Bind(code.program(FREEZE), "/freeze.py")])
        run_inside(
            store, host, ["tar", "-xf", str(work / "seed.tar"), "-C", str(work / "root"), "--numeric-owner", "-p"]
        )
        digest, elf = json.loads(run_inside(store, host, ["python3", "-I", "-c", SCAN, str(work / "root")]).stdout)
        if digest != listing.digest or frozenset(elf) != listing.elf:
            raise caches.refuse(found, "its tree is not what its digest says")
        publish(work)
