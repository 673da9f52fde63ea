"""The roots of a project: what it extends is found, fetched if need be, and checked against its lock each time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from photonbuild import __version__, version
from photonbuild.config.project import FILE, RELOCK, Extends, Locked, read_lock, read_project
from photonbuild.documents import Document
from photonbuild.errors import ConfigError, SourceError
from photonbuild.files import read_json, write_json
from photonbuild.projects import git
from photonbuild.projects.tree import TreeError, tree_digest, unpack
from photonbuild.roots import BUILD, Root, Roots
from photonbuild.store import Store

FOLDER = "upstream"
# In an entry of the store: the tree, and the file of record.
TREE, RECORD = "tree", "result.json"


@dataclass(frozen=True, kw_only=True)
class Finder:
    """How what is extended is found. `store`: opened where it is needed, since most have all in folders."""

    store: Callable[[], Store]
    offline: bool = False


def roots_of(root: Path, finder: Finder) -> Roots:
    """The root and all that it extends, directly or not. Raises ConfigError, SourceError."""
    if not (root / BUILD).is_dir():
        raise ConfigError(
            f"no '{BUILD}' folder here",
            where=str(root),
            hint="run photonbuild in a checkout or a project, or name it with --root; photonbuild init makes a project",
        )
    roots = Roots.of(root)
    while (found := read_project(roots, roots.layers[-1].path)) is not None:
        project, document = found
        lower = _extended(roots, project.extends, document, finder)
        if any(lower.path.samefile(layer.path) for layer in roots.layers):
            raise ConfigError("the project extends itself", where=document.where("extends"))
        roots = Roots((*roots.layers, lower))
    return roots


def _extended(roots: Roots, extends: Extends, document: Document, finder: Finder) -> Root:
    lowest = roots.layers[-1].path
    if extends.path is not None:
        path = Path(os.path.normpath(lowest / Path(extends.path).expanduser()))
        if lowest.parent.name and lowest.name == TREE and lowest.parent.parent.name == FOLDER:
            raise ConfigError("what is not in a folder of this machine cannot extend one", where=document.where())
        if not (path / BUILD).is_dir():
            raise ConfigError(f"there is no distribution in {path}", where=document.where("extends", "path"))
        return Root(path=path, label=f"{os.path.relpath(path, roots.own)}/")
    locked = read_lock(roots, lowest, extends)
    if extends.git is not None:
        path = _of_git(finder, locked, git.located(extends.git, lowest))
        name = extends.git.rstrip("/").rpartition("/")[2].removesuffix(".git")
        return Root(path=path, label=f"{name}@{str(locked.commit)[:12]}:")
    return Root(path=_of_installed(finder, locked), label=f"photonbuild-{__version__}:")


def lock(root: Path, extends: Extends, store: Store) -> Locked | None:
    """What `extends` stands for now, which is in the store then; None for a folder, which is taken as it is."""
    if extends.path is not None:
        return None
    if extends.git is None:
        digest = installed_digest()
        _installed(store, digest)
        return Locked(version=version.version_text(), digest=digest)
    address = git.located(extends.git, root)
    commit = git.resolve(address, str(extends.ref))
    with store.staging() as work:
        digest = _fetched(address, commit, work / "entry", work)
        store.publish(work / "entry", store.use(store.root / FOLDER / digest))
    return Locked(git=extends.git, ref=extends.ref, commit=commit, digest=digest)


def installed_digest() -> str:
    """The digest of the distribution that came with this program. Raises ConfigError where none did."""
    if not version.ARCHIVE.exists():
        raise ConfigError(
            "this photonbuild brought no distribution",
            where=str(version.ARCHIVE.parent),
            hint="one that was installed from a wheel does; of a checkout, extend the path",
        )
    return str(read_json(version.BUILT)["distribution"])


def _of_installed(finder: Finder, locked: Locked) -> Path:
    digest = installed_digest()
    if digest != locked.digest:
        raise ConfigError(
            f"the lock is of photonbuild {locked.version}, whose distribution is another one",
            hint=f"install that one, or take this one's, {version.version_text()}: {RELOCK}",
        )
    return _installed(finder.store(), digest)


def _installed(store: Store, digest: str) -> Path:
    def make(entry: Path, work: Path) -> None:
        entry.mkdir()
        unpack(version.ARCHIVE, entry / TREE)
        write_json(entry / RECORD, {"installed": version.version_text()})
        _check(entry, digest, str(version.ARCHIVE))

    return _stored(store, digest, make)


def _of_git(finder: Finder, locked: Locked, address: str) -> Path:
    def make(entry: Path, work: Path) -> None:
        if finder.offline:
            raise SourceError(
                f"the commit {str(locked.commit)[:12]} is not in the store",
                where=address,
                hint="run once without --offline",
            )
        _fetched(address, str(locked.commit), entry, work)
        _check(entry, locked.digest, f"{address} {locked.commit}")

    return _stored(finder.store(), locked.digest, make)


def _fetched(address: str, commit: str, entry: Path, work: Path) -> str:
    """The entry of a commit, and the digest of its tree."""
    entry.mkdir()
    git.checkout(address, commit, entry / TREE, work)
    write_json(entry / RECORD, {"git": address, "commit": commit})
    if not (entry / TREE / BUILD).is_dir():
        raise SourceError(f"there is no distribution in it: no folder {BUILD}", where=f"{address} {commit}")
    return _digest(entry, f"{address} {commit}")


def _digest(entry: Path, where: str) -> str:
    try:
        return tree_digest(entry / TREE)
    except TreeError as error:
        raise SourceError(str(error), where=where) from None


def _check(entry: Path, digest: str, where: str) -> None:
    found = _digest(entry, where)
    if found != digest:
        raise SourceError(
            f"this is not what was locked: its digest is {found[:16]}…, photonbuild.lock says {digest[:16]}…",
            where=where,
            hint=f"find out who changed it; if it is meant: {RELOCK}",
        )


def _stored(store: Store, digest: str, make: Callable[[Path, Path], None]) -> Path:
    """The tree in the store, made now if need be; one that is no longer what it was is made again."""
    entry = store.use(store.root / FOLDER / digest)
    if _is_whole(entry, digest):
        return entry / TREE
    with store.lock(f"{FOLDER}-{digest[:32]}"):
        if entry.exists() and not _is_whole(entry, digest):
            store.warn(f"{entry.relative_to(store.root)} in the store is damaged; it is fetched again")
            store.discard(entry)
        if not entry.exists():
            with store.staging() as work:
                make(work / "entry", work)
                store.publish(work / "entry", entry)
    return entry / TREE


def _is_whole(entry: Path, digest: str) -> bool:
    try:
        return (entry / TREE).is_dir() and tree_digest(entry / TREE) == digest
    except (TreeError, FileNotFoundError):
        return False


__all__ = ["FILE", "Finder", "lock", "roots_of"]
