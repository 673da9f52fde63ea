"""The lock of a project is written anew, and what that means for it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from photonbuild.config import validation
from photonbuild.config.project import LOCK, Locked, read_project, write_lock
from photonbuild.errors import ConfigError
from photonbuild.projects.differences import names
from photonbuild.projects.resolve import FOLDER, TREE, lock
from photonbuild.projects.tree import tree_digest
from photonbuild.roots import Roots
from photonbuild.store import Store


def relock(root: Path, open_store: Callable[[], Store]) -> list[str]:
    """Write photonbuild.lock for what the project in `root` extends now; says what changed. Raises ConfigError."""
    roots = Roots.of(root)
    found = read_project(roots, root)
    if found is None:
        raise ConfigError("this is no project: it extends nothing", where=str(root), hint="photonbuild init DIR")
    extends = found[0].extends
    if extends.path is not None:
        return [f"{extends.path} is a folder, which is taken as it is: there is nothing to lock"]
    store = open_store()
    old = _old(root)
    new = lock(root, extends, store)
    assert new is not None
    if old == new:
        return [f"unchanged: {_name(new)}"]
    write_lock(root, new)
    if old is None:
        return [f"locked: {_name(new)}"]
    return [
        f"{_name(old)} → {_name(new)}",
        *_replaced(root, *(store.root / FOLDER / each.digest for each in (old, new))),
    ]


def _old(root: Path) -> Locked | None:
    """The lock that is there; one that cannot be read is written over."""
    try:
        return validation.load(root / LOCK, Locked, name=LOCK)
    except ConfigError:
        return None


def _name(locked: Locked) -> str:
    return f"{locked.git} {locked.ref}, commit {locked.commit}" if locked.git else f"photonbuild {locked.version}"


def _replaced(root: Path, old: Path, new: Path) -> list[str]:
    """What the project replaces and has changed below it meanwhile."""
    if not (old / TREE).is_dir():
        return []
    changed = [name for name in names(root) if _digest(old / TREE / name) != _digest(new / TREE / name)]
    return [
        f"{name}, which this project replaces, has changed there: photonbuild diff-upstream {name}" for name in changed
    ]


def _digest(path: Path) -> str | bytes | None:
    if path.is_dir():
        return tree_digest(path)
    return path.read_bytes() if path.exists() else None
