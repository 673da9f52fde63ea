"""Keys of builds: a digest of every input of one build, kept with the result so that a difference can be named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .specs import Spec


@dataclass(frozen=True, kw_only=True)
class BuildEnvironment:
    """What all packages share: digests of macros, seed and the program that builds, arch and epoch."""

    arch: str
    epoch: int
    macros: str
    seed: str
    builder: str


def build_inputs(spec: Spec, environment: BuildEnvironment, installed: Mapping[str, str]) -> dict[str, Any]:
    """Every input of the build of `spec`; `installed`: package → sha256 of the RPM in its build root.

    The number of cores, paths of the machine and the time are in none of them.
    """
    return {
        "arch": environment.arch,
        "epoch": environment.epoch,
        "macros": environment.macros,
        "seed": environment.seed,
        "builder": environment.builder,
        "spec": spec.expanded,
        "files": dict(spec.files),
        "sources": {entry.file: entry.sha512 for entry in spec.fetched.sources},
        "installed": dict(sorted(installed.items())),
    }


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
