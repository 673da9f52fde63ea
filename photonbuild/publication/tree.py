"""The publication as files under stage/: signed packages with signed metadata, as it will lie where it is published."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from photonbuild.errors import SolveError
from photonbuild.files import read_sealed, sealed, write_json, write_text
from photonbuild.keys import key_of
from photonbuild.packages.repo import is_made, make_repository
from photonbuild.publication.layout import Layout, by_kind, package_folder
from photonbuild.publication.older import Older
from photonbuild.publication.openpgp import Key, OpenPGP
from photonbuild.publication.sign import signed_copies, signing_time
from photonbuild.store import Store

RECORD = ".content.json"


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A signed publication in `folder`. `development`: the key is not one to trust.

    `content`: by kind of repository, the digest of each package file as it was built.
    """

    folder: Path
    layout: Layout
    fingerprint: str
    development: bool
    content: Mapping[str, Mapping[str, str]]


def make_tree(
    folder: Path,
    rpms: Sequence[Path],
    *,
    layout: Layout,
    store: Store,
    tools: OpenPGP,
    key: Key,
    epoch: int,
    advisories: str | None,
    older: Mapping[str, Sequence[Older]] = MappingProxyType({}),
    revision: int | None = None,
) -> Tree:
    """Make the publication of these binary and source packages in `folder`; a repository that is there already stays.

    `older`: what is listed besides, by kind. `advisories`: the text of the updateinfo.xml beside the binary packages.
    `revision`: the time that the metadata and its signature are given, now unless it is said; clients refuse metadata
    that is older than what they saw. Only one process at a time may do this. Raises SolveError.
    """
    if revision is not None and revision < key.created:
        raise SolveError(f"the key is younger than the revision {revision}", hint=f"it was made at {key.created}")
    folder.mkdir(parents=True, exist_ok=True)
    stamp = signing_time(key, epoch)
    copies = signed_copies(store, tools, key, rpms, time=stamp)
    content = {}
    for kind, some in by_kind(rpms).items():
        out = folder / layout.repository(kind)
        content[kind] = {path.name: copies[path][0] for path in some}
        content[kind] |= {each.path.name: each.content for each in older.get(kind, ())}
        text = advisories if kind == "packages" else None
        identity = {"content": content[kind], "key": key.fingerprint, "time": stamp, "advisories": text}
        made = key_of({**identity, "revision": revision})
        if is_made(out, made):
            continue
        chosen = int(time.time()) if revision is None else revision

        def signature(path: Path, when: int = max(chosen, key.created)) -> bytes:
            with store.staging() as work:
                return tools.signature(key, path, work, time=when)

        make_repository(
            [*(copies[path][1] for path in some), *(each.path for each in older.get(kind, ()))],
            out,
            revision=chosen,
            key=made,
            folder=package_folder(key),
            advisories=text,
            sign=signature,
        )
    write_text(folder / layout.key_file, key.public)
    record = {"content": content, "fingerprint": key.fingerprint, "development": key.is_development}
    write_json(folder / RECORD, sealed(record))
    return read_tree(folder, layout)


def read_tree(folder: Path, layout: Layout) -> Tree:
    """What was made here. Raises SolveError."""
    record = read_sealed(folder / RECORD)
    if record is None:
        raise SolveError("nothing signed is here", where=str(folder), hint="photonbuild repo sign")
    return Tree(folder=folder, layout=layout, **record)
