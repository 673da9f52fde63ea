"""Bring a signed tree to where clients read it, so that at every moment they find all that is listed.

Packages come first, then metadata under names that hold their digest, then repomd.xml with its signature. Nothing that
was published is ever altered, and only `photonbuild repo gc` removes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from photonbuild.errors import SolveError
from photonbuild.publication.layout import INDEX, LEDGER
from photonbuild.publication.ledger import Ledger, Publication, parse_ledger
from photonbuild.publication.repository import Repository, need_repository, read_repository
from photonbuild.publication.tree import Tree
from photonbuild.storage.folder import Folder
from photonbuild.storage.interface import Storage


@dataclass(frozen=True, kw_only=True)
class Published:
    """What publishing did: files sent, files that were there, repositories that clients now see anew.

    `unlisted`: older versions of packages that were listed until now, and could be for longer.
    """

    sent: int
    there: int
    changed: tuple[str, ...]
    unlisted: int = 0


def publish(tree: Tree, storage: Storage, *, snapshot: str | None = None, now: int | None = None) -> Published:
    """Publish `tree`; with `snapshot` under that name, too, where it never changes again.

    Raises SolveError when a package was published with other content, when what is there is newer, or when the
    snapshot is another one; StoreError.
    """
    moment = int(time.time()) if now is None else now
    source = Folder(tree.folder)
    ours = {kind: need_repository(source, folder) for kind, folder in tree.layout.repositories().items()}
    with storage.lock():
        there = {kind: read_repository(storage, repository.folder) for kind, repository in ours.items()}
        ledgers = {kind: _ledger(storage, repository) for kind, repository in ours.items()}
        content = {kind: content_of(tree, kind, repository) for kind, repository in ours.items()}
        check_numbers(ours, there, ledgers, content, storage.where)
        for kind, repository in ours.items():
            check_newer(repository, there[kind], storage.where)
        if snapshot is not None:
            for kind, repository in ours.items():
                check_snapshot(storage, repository, tree.layout.repository(kind, snapshot))
        sent = [path for repository in ours.values() for path in _send(tree, storage, repository)]
        changed = []
        for kind, repository in ours.items():
            ledger = ledgers[kind].add(publication_of(repository, moment), content[kind])
            if ledger != ledgers[kind]:
                storage.write(f"{repository.folder}/{LEDGER}", ledger.dump())
            if not _is_current(repository, there[kind]):
                storage.replace(repository.index_files)
                changed.append(repository.folder)
        if storage.read(tree.layout.key_file) != source.read(tree.layout.key_file):
            storage.put(tree.folder, [tree.layout.key_file])
        if snapshot is not None:
            for kind, repository in ours.items():
                take_snapshot(storage, repository, tree.layout.repository(kind, snapshot))
    total = sum(len(repository.files) for repository in ours.values())
    unlisted = sum(count_unlisted(repository, there[kind]) for kind, repository in ours.items())
    return Published(sent=len(sent), there=total - len(sent), changed=tuple(changed), unlisted=unlisted)


def count_unlisted(repository: Repository, published: Repository | None) -> int:
    """How many packages were listed until now of which no older version is listed beside today's."""
    versions = Counter((package.name, package.arch) for package in repository.packages)
    now = {package.nevra for package in repository.packages}
    before = published.packages if published else ()
    return sum(versions[package.name, package.arch] == 1 and package.nevra not in now for package in before)


def content_of(tree: Tree, kind: str, repository: Repository) -> dict[str, str]:
    """The digest of each package as it was built, by NEVRA."""
    return {package.nevra: tree.content[kind][package.path.rpartition("/")[2]] for package in repository.packages}


def publication_of(repository: Repository, moment: int) -> Publication:
    metadata = repository.index.metadata
    return Publication(
        time=moment,
        revision=repository.index.revision,
        primary=metadata["primary"].path,
        files=tuple(sorted([*(item.path for item in metadata.values()), repository.named_signature])),
    )


def check_numbers(
    ours: Mapping[str, Repository],
    there: Mapping[str, Repository | None],
    ledgers: Mapping[str, Ledger],
    content: Mapping[str, Mapping[str, str]],
    where: str,
) -> None:
    """Raises SolveError for packages whose NEVRA was published with other content, with the command that helps."""
    refused: dict[str, str] = {}
    for kind, repository in ours.items():
        bad = set(ledgers[kind].conflicts(content[kind]))
        published = there[kind]
        listed = {package.path: package.sha256 for package in published.packages} if published else {}
        for package in repository.packages:
            if package.nevra in bad or listed.get(package.path, package.sha256) != package.sha256:
                refused[package.nevra] = (package.source or f"{package.nevra}.rpm").rsplit("-", 2)[0]
    if refused:
        raise SolveError(
            f"{len(refused)} packages were published with other content under the same number",
            where=where,
            detail="\n".join(sorted(refused)),
            hint=f"photonbuild bump --rebuild {' '.join(sorted(set(refused.values())))}",
        )


def check_newer(repository: Repository, published: Repository | None, where: str) -> None:
    """Raises SolveError where clients would take the metadata for an old one."""
    if published is None or published.index_file == repository.index_file:
        return
    old, new = (_number(item.index.revision) for item in (published, repository))
    if new <= old:
        raise SolveError(
            f"what is there has the revision {old}, and this has {new}: clients would refuse it",
            where=f"{where}/{repository.folder}",
            hint="photonbuild repo sign --revision with a later time",
        )


def check_snapshot(storage: Storage, repository: Repository, folder: str) -> None:
    """Raises SolveError where the snapshot is there, with other metadata."""
    index = storage.read(f"{folder}/{INDEX}")
    if index is not None and index != repository.index_file:
        raise SolveError("this snapshot is there, and is another one", where=f"{storage.where}/{folder}")


def take_snapshot(storage: Storage, repository: Repository, folder: str) -> None:
    """The same repository below another folder, of the files that are there."""
    pairs = {f"{folder}/{item.path}": (path, item) for path, item in repository.files.items()}
    sizes = storage.sizes(folder)
    storage.copy({new: old for new, (old, item) in pairs.items() if sizes.get(new) != item.size})
    files = {f"{folder}{path.removeprefix(repository.folder)}": data for path, data in repository.index_files.items()}
    if any(storage.read(path) != data for path, data in files.items()):
        storage.replace(files)


def _send(tree: Tree, storage: Storage, repository: Repository) -> list[str]:
    """Send what is not there whole; returns its paths."""
    sizes = storage.sizes(repository.folder)
    same = [path for path, item in repository.files.items() if sizes.get(path) == item.size]
    digests = storage.digests(same)
    missing = [path for path, item in repository.files.items() if digests.get(path) != item.sha256]
    storage.put(tree.folder, missing)
    return missing


def _is_current(repository: Repository, published: Repository | None) -> bool:
    return published is not None and published.index_files == repository.index_files


def _ledger(storage: Storage, repository: Repository) -> Ledger:
    path = f"{repository.folder}/{LEDGER}"
    return parse_ledger(storage.read(path), f"{storage.where}/{path}")


def _number(revision: str) -> int:
    return int(revision) if revision.isdecimal() else 0
