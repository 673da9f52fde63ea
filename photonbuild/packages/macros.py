"""The rpm macros of every build: ``build/macros`` and the distribution's identity."""

from __future__ import annotations

import hashlib
from pathlib import Path

from photonbuild.config.load import Config
from photonbuild.files import sha256_of, write_text
from photonbuild.sandbox.sandbox import Bind

GENERATED = "macros.00-distribution"


def distribution_macros(config: Config) -> str:
    """The macro file that carries the distribution's identity, from build/distribution.yaml."""
    d = config.distribution
    values = {
        "dist": d.dist,
        "vendor": d.name,
        "packager": d.packager,
        "distribution": f"{d.name} {d.version}",
        "distribution_name": d.name,
        "distribution_id": d.id,
        "distribution_version": d.version,
        "_vendor": d.vendor,
        "_host_vendor": d.vendor,
        "_target_platform": d.triple,
        "_host": d.triple,
        "_build": d.triple,
    }
    return "# Generated from build/distribution.yaml.\n" + "".join(f"%{k} {v}\n" for k, v in values.items())


def macro_files(config: Config) -> tuple[Path, ...]:
    """The uppermost file of each name."""
    return tuple(config.roots.entries("build/macros", "macros.*").values())


def macro_digests(config: Config) -> dict[str, str]:
    """SHA-256 of each macro file by its name, the generated one included."""
    generated = hashlib.sha256(distribution_macros(config).encode()).hexdigest()
    return {GENERATED: generated, **{path.name: sha256_of(path) for path in macro_files(config)}}


def macro_binds(config: Config, work: Path) -> list[Bind]:
    """Binds that put our macros where rpm looks for them. `work` keeps the generated file; others may be reading it."""
    generated, text = work / GENERATED, distribution_macros(config)
    if not generated.exists() or generated.read_text(encoding="utf-8", errors="replace") != text:
        write_text(generated, text)
    return [Bind(path, f"/etc/rpm/{path.name}") for path in (generated, *macro_files(config))]
