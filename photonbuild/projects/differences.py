"""What of a project is other than in what it extends: by name, and as a unified diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from photonbuild import documents
from photonbuild.config.project import FILE
from photonbuild.errors import ConfigError
from photonbuild.roots import BUILD, SPECS, Roots

# Files of build/ that add to those below; every other one replaces them.
MERGED = ("distribution.yaml", "rebuilds.yaml", "timings.json")
# Folders of which each entry is one thing, by its name.
WHOLE = (SPECS, "src")

State = Literal["own", "replaces", "changes", "same"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing of the project by its name, as ``specs/bash`` or ``build/images/iso.yaml``.

    `state`: own, where nothing below has that name; replaces; changes, where each of its keys replaces one; same, where
    it replaces what is no different. `diff`: unified, of what it replaces.
    """

    name: str
    state: State
    diff: str = ""


def differences(roots: Roots) -> list[Difference]:
    """Everything of the own root, sorted by name."""
    return [_difference(roots, name) for name in names(roots.own)]


def chosen(found: Sequence[Difference], wanted: Sequence[str]) -> Sequence[Difference]:
    """Those of these names, or all. Raises ConfigError."""
    known = {difference.name: difference for difference in found}
    for name in wanted:
        if name.rstrip("/") not in known:
            hint = f"it has: {', '.join(known) or 'nothing of its own'}"
            raise ConfigError(f"the project has no '{name}'{documents.nearest(name, known)}", hint=hint)
    return [known[name.rstrip("/")] for name in wanted] or found


def names(root: Path) -> list[str]:
    """What there is in a root that can replace something."""
    found = [f"{folder}/{path.name}" for folder in WHOLE for path in _in(root / folder)]
    for path in _in(root / BUILD):
        inside = [f"{path.name}/{below.name}" for below in _in(path)] if path.is_dir() else [path.name]
        found += [f"{BUILD}/{name}" for name in inside if name != FILE]
    return sorted(found)


def notice(roots: Roots) -> str | None:
    """What is replaced, in a line; None where nothing is."""
    if not roots.layers[1:]:
        return None
    replaced = [name for name in names(roots.own) if not _is_merged(name) and roots.below.find(name).exists()]
    lines = [f"this project's {name} replaces {roots.where(roots.below.find(name))}" for name in replaced]
    fields = _changed_fields(roots)
    if fields:
        lines.append(f"this project's {BUILD}/{MERGED[0]} changes {', '.join(fields)}: every package is one of its own")
    return "\n".join(lines) or None


def _changed_fields(roots: Roots) -> list[str]:
    """Keys of the distribution's identity that are other than below."""
    name = f"{BUILD}/{MERGED[0]}"
    own = roots.own / name
    if not own.exists():
        return []
    below = [documents.read(path, name=roots.where(path)).data for path in roots.below.all(name)]
    values = {key: value for data in below for key, value in data.items()}
    ours = documents.read(own, name=name).data
    return sorted(key for key, value in ours.items() if values.get(key) != value)


def _is_merged(name: str) -> bool:
    return name.removeprefix(f"{BUILD}/") in MERGED


def _difference(roots: Roots, name: str) -> Difference:
    below = roots.below.find(name) if roots.layers[1:] else None
    if below is None or not below.exists():
        return Difference(name=name, state="own")
    diff = "".join(_diff(name, _files(below), _files(roots.own / name)))
    state: State = "changes" if _is_merged(name) else "replaces" if diff else "same"
    return Difference(name=name, state=state, diff=diff)


def _diff(name: str, old: Mapping[str, Path], new: Mapping[str, Path]) -> Iterator[str]:
    for part in sorted({*old, *new}):
        path = f"{name}/{part}" if part else name
        before, after = (_lines(files.get(part)) for files in (old, new))
        if before == after:
            continue
        left, right = f"a/{path}" if part in old else "/dev/null", f"b/{path}" if part in new else "/dev/null"
        if before is None or after is None:
            yield f"Binary files {left} and {right} differ\n"
            continue
        for line in difflib.unified_diff(before, after, left, right):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(path: Path | None) -> list[str] | None:
    """The lines of a text, [] of nothing, None of what is no text."""
    if path is None:
        return []
    try:
        return path.read_bytes().decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None


def _files(path: Path) -> dict[str, Path]:
    """Files below a folder by their paths in it; a file alone has the empty one."""
    if not path.is_dir():
        return {"": path}
    return {found.relative_to(path).as_posix(): found for found in path.rglob("*") if found.is_file()}


def _in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__pycache__"]
