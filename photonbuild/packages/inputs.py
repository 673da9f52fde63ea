"""Every input of the build of a package, for its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from photonbuild.config.sources import SourceEntry
from photonbuild.packages.spec import Spec


@dataclass(frozen=True, kw_only=True)
class BuildEnvironment:
    """What all packages share: arch, epoch, digests of macros and seed, what runs inside a build root and how.

    `macros`, `code`: SHA-256 of the macro files and of our programs by their names; `sandbox`: see `Sandbox.inputs`.
    """

    arch: str
    epoch: int
    macros: Mapping[str, str]
    seed: str
    code: Mapping[str, str]
    sandbox: Mapping[str, Any]


def digest_of(entry: SourceEntry) -> str:
    """A fetched source in a key: its digest, and which members of it are taken if not the whole."""
    return " ".join([str(entry.sha512), *entry.members])


def build_inputs(
    spec: Spec, environment: BuildEnvironment, installed: Mapping[str, str], layers: Mapping[str, str]
) -> dict[str, Any]:
    """Every input of the build of `spec`; `installed`: package → sha256 of the RPM in its build root; `layers`: name →
    digest of what lies over the seed there.

    The number of cores, paths of the machine and the time are in none of them.
    """
    return {
        "arch": environment.arch,
        "epoch": environment.epoch,
        "macros": dict(environment.macros),
        "seed": environment.seed,
        "code": dict(environment.code),
        "sandbox": dict(environment.sandbox),
        "spec": spec.expanded,
        "files": dict(spec.files),
        "sources": {entry.file: digest_of(entry) for entry in spec.fetched.sources},
        "installed": dict(sorted(installed.items())),
        # Not there where there are none: most keys do not know of layers.
        **({"layers": dict(layers)} if layers else {}),
    }
