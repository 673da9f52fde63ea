"""Keys of builds: a digest of every input of one build, kept with the result so that a difference can be named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def key_of(inputs: Mapping[str, Any]) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What changed between the inputs of two builds, a line each."""
    lines = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{prefix}{name} ")
        elif before != after:
            lines.append(f"{prefix}{name}: {short(before)} → {short(after)}")
    return lines


def short(value: Any) -> str:
    return "absent" if value is None else str(value)[:12]
