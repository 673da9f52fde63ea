"""Publications of package files of a few hundred bytes, with a digest in place of signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from photonbuild.files import sealed, sha256_of, write_json
from photonbuild.packages.repo import make_repository
from photonbuild.publication.layout import Layout, by_kind
from photonbuild.publication.repository import need_repository
from photonbuild.publication.tree import RECORD, Tree, read_tree
from photonbuild.storage.interface import Reader

LAYOUT = Layout(id="mini", release="1.0", arch="x86_64")


def make_unsigned_tree(folder: Path, rpms: Sequence[Path], *, revision: int, advisories: str | None = None) -> Tree:
    """As `make_tree`, without keys and sandboxes."""
    content = {}
    for kind, some in by_kind(rpms).items():
        out = folder / LAYOUT.repository(kind)
        text = advisories if kind == "packages" else None
        make_repository(
            some,
            out,
            revision=revision,
            folder="Packages/0",
            advisories=text,
            sign=lambda path: sha256_of(path).encode(),
        )
        content[kind] = {path.name: sha256_of(path) for path in some}
    (folder / LAYOUT.key_file).write_text("key\n")
    write_json(folder / RECORD, sealed({"content": content, "fingerprint": "0" * 40, "development": False}))
    return read_tree(folder, LAYOUT)


def missing(source: Reader, work: Path, snapshot: str | None = None) -> list[str]:
    """What is listed and not there as it is listed."""
    wrong = []
    for folder in LAYOUT.repositories(snapshot).values():
        repository = need_repository(source, folder)
        signature = hashlib.sha256(repository.index_file).hexdigest().encode()
        # As tdnf asks: what everybody knows by its name, then what is this index's alone.
        offered = (repository.signature, source.read(f"{folder}/{repository.named_signature}"))
        assert signature in offered, f"{folder}: no signature of this index"
        for path, item in repository.files.items():
            target = work / "fetched"
            target.unlink(missing_ok=True)
            if not source.get(path, target) or sha256_of(target) != item.sha256:
                wrong.append(path)
    return wrong


def seen(source: Reader, work: Path) -> list[str]:
    """The packages that a client finds listed now; everything that is listed is there, whole and signed."""
    assert missing(source, work) == []
    return [package.nevra for package in need_repository(source, LAYOUT.repository("packages")).packages]
