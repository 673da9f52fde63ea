"""Keys: an entry of the store is named by the digest of all that it was made from, and that is kept beside it.

What a seed, a spec, a package, a repository and an image are made from is listed by the module that makes each; here is
how a list becomes a key, and how two lists are compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from photonbuild.files import read_sealed, sealed, write_json

Inputs = Mapping[str, Any]
NAME = "inputs.json"
SHOWN = 60


def key_of(inputs: Inputs) -> str:
    """64 hexadecimal digits, the same for the same values whatever their order in a mapping."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def write_inputs(folder: Path, inputs: Inputs) -> None:
    """Keep the inputs with what was made from them."""
    write_json(folder / NAME, sealed(dict(inputs)))


def differences(old: Inputs, new: Inputs, prefix: str = "") -> list[str]:
    """What changed between two lists of inputs, a line each: which, from what, to what."""
    lines = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{prefix}{name} ")
        elif before != after:
            lines.append(f"{prefix}{name}: {short(before)} → {short(after)}")
    return lines


def changes(folders: Iterable[Path], inputs: Inputs) -> list[str] | None:
    """How `inputs` differ from those of the entry among these that is most like them; None when there is no entry.

    A store may hold entries of other checkouts, profiles and keys; of two that are as much alike the newer one counts.
    """
    kept = sorted(
        (path for folder in folders if (path := folder / NAME).exists()), key=lambda path: path.stat().st_mtime
    )
    found = [differences(old, inputs) for path in reversed(kept) if (old := read_sealed(path)) is not None]
    return min(found, key=len, default=None)


def short(value: Any) -> str:
    """A value for one line: digests by their first digits, lists and longer texts up to a few words."""
    if value is None:
        return "absent"
    if isinstance(value, Mapping):
        return f"{len(value)} entries"
    words = value if isinstance(value, list | tuple) else str(value).split(" ")
    text = " ".join(word[:12] if len(word) >= 32 and word.isalnum() else word for word in map(str, words)) or "nothing"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
