"""Every input of the build of a package, for its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from photonbuild.packages.spec import Spec


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
