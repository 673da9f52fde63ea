"""Files, folders and links that are put into a root, and the trees of ``build/`` that they come from."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from photonbuild.config.customisation import Permissions, Tree
from photonbuild.documents import nearest
from photonbuild.errors import ConfigError
from photonbuild.files import copy_file, sha256_of
from photonbuild.roots import BUILD, Roots


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One path of the root. `kind`: file, folder, link, or append, for text that a file of a package gets at its end.

    `make` writes a file's content to a path; `sha256` is of that content, or of all that it is made from. `target` is
    where a link leads. `where`: who asks for it.
    """

    path: str
    kind: str = "file"
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    target: str = ""
    sha256: str = ""
    make: Callable[[Path], object] | None = None
    where: str = ""


def text_entry(path: str, text: str | bytes, *, where: str, mode: int = 0o644, kind: str = "file") -> Entry:
    content = text.encode() if isinstance(text, str) else text
    return Entry(
        path=path,
        kind=kind,
        mode=mode,
        sha256=hashlib.sha256(content).hexdigest(),
        make=functools.partial(Path.write_bytes, data=content),
        where=where,
    )


def file_entry(path: str, source: Path, *, where: str, mode: int, owner: str, group: str) -> Entry:
    """A file of ``build/``, read when its digest is taken and again, checked, when it is put in its place."""
    digest = sha256_of(source)
    make = functools.partial(_copy, source, digest)
    return Entry(path=path, mode=mode, owner=owner, group=group, sha256=digest, make=make, where=where)


def _copy(source: Path, digest: str, target: Path) -> None:
    copy_file(source, target)
    if sha256_of(target) != digest:
        raise ConfigError("the file has changed while the image was made", where=str(source))


def existing(roots: Roots, source: str, *, where: str, folder: bool = False) -> Path:
    """The file, or folder, `source` of ``build/``. Raises ConfigError, which names the nearest one."""
    path = roots.find(f"{BUILD}/{source}")
    right = path.is_dir() if folder else path.is_file()
    if not right:
        siblings = roots.entries(str(Path(BUILD, source).parent))
        what = "folder" if folder else "file"
        raise ConfigError(f"no {what} 'build/{source}'{nearest(path.name, set(siblings) - {path.name})}", where=where)
    return path


def tree_entries(roots: Roots, tree: Tree, *, where: str) -> Iterator[Entry]:
    """All that is below the tree's folder, sorted by path. Raises ConfigError for what is no file, folder or link.

    A folder gets an entry where the image may have one already, too: its owner and mode are only set if the tree's
    permissions say so.
    """
    root = existing(roots, tree.source, where=where, folder=True)
    used: set[str] = set()
    for source in sorted(root.rglob("*")):
        path = f"{tree.path.rstrip('/')}/{source.relative_to(root).as_posix()}"
        said, patterns = permissions(tree, path)
        used |= patterns
        yield _tree_entry(source, path, tree, said, where=where)
    if unused := tree.permissions.keys() - used:
        raise ConfigError(f"nothing in 'build/{tree.source}' matches '{min(unused)}'", where=where)


def permissions(tree: Tree, path: str) -> tuple[Permissions, set[str]]:
    """What the tree says of this path of the image, and the patterns that match it."""
    matching = [pattern for pattern in tree.permissions if fnmatch.fnmatchcase(path, pattern)]
    update = {key: value for name in matching for key, value in tree.permissions[name].model_dump().items() if value}
    return Permissions(**update), set(matching)


def _tree_entry(source: Path, path: str, tree: Tree, said: Permissions, *, where: str) -> Entry:
    found = source.lstat().st_mode
    owner, group = said.owner or tree.owner, said.group or tree.group
    if stat.S_ISLNK(found):
        return Entry(path=path, kind="link", target=os.readlink(source), owner=owner, group=group, where=where)
    if stat.S_ISDIR(found):
        # An existing folder keeps what it has, unless its own permissions are spelt out: mode 0 stands for that.
        spelt = said.mode is not None or said.owner is not None or said.group is not None
        mode = int(said.mode or "0755", 8) if spelt else 0
        return Entry(path=path, kind="folder", mode=mode, owner=owner, group=group, where=where)
    if not stat.S_ISREG(found):
        raise ConfigError(f"'{source}' is no file, folder or link", where=where)
    mode = int(said.mode, 8) if said.mode else 0o755 if found & 0o111 else 0o644
    return file_entry(path, source, where=where, mode=mode, owner=owner, group=group)
