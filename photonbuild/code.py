"""Which of our own files a module runs: its imports, followed as they are written. Pure reading, nothing is imported.

A module that is run as a program elsewhere, in a sandbox or on a medium, is named to `program` by a string; that counts
as an import, too. Two uses: the code that is an input of a key, and the test that imports go one way.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

from photonbuild.files import sha256_of

PROJECT = Path(__file__).parents[1]
PACKAGES = ("photonbuild", "pico")


@functools.cache
def modules(root: Path = PROJECT) -> Mapping[str, Path]:
    """Every module below `root` that belongs to the project, by its dotted name; a package is its ``__init__.py``."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imported(path: Path, root: Path = PROJECT) -> frozenset[str]:
    """The project's modules that the file imports or names, wherever in it, also only for types."""
    known = modules(root)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= below & known.keys()
            # What is no module is a name that the module itself defines.
            names |= {node.module} if below - known.keys() else set()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            names.add(node.value)
    return frozenset(name for name in names & known.keys() if known[name] != path)


def program(module: str) -> Path:
    """The file of a module that is run as a program elsewhere. Give the name as a plain string: it is looked for."""
    return modules()[module]


def closure(entries: Iterable[str], root: Path = PROJECT) -> frozenset[str]:
    """The modules `entries` and all that they import, directly or not."""
    seen: set[str] = set()
    todo = list(entries)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += imported(modules(root)[name], root)
    return frozenset(seen)


def files(entries: Iterable[str], root: Path = PROJECT) -> list[Path]:
    """The files of the closure of `entries`, sorted, and the packages' own without which none can be imported."""
    names = closure(entries, root)
    packages = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    return sorted(modules(root)[name] for name in names | packages)


def digests(entries: Iterable[str], root: Path = PROJECT) -> dict[str, str]:
    """SHA-256 of each file that belongs to the closure of `entries`, by its path below `root`, sorted."""
    paths = {modules(root)[name] for name in closure(entries, root)}
    return {path.relative_to(root).as_posix(): sha256_of(path) for path in sorted(paths)}
