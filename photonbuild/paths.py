"""Where the checkout and the store are. Imports nothing that takes time."""

from __future__ import annotations

import os
from pathlib import Path

from photonbuild.errors import ConfigError


def default_store() -> Path:
    named = os.environ.get("PHOTONBUILD_STORE")
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(named) if named else Path(cache) / "photonbuild"


def checkout() -> Path:
    """The checkout or project: here, above here, or the checkout that this program runs in."""
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).parents[1]):
        if any((folder / "build" / name).exists() for name in ("project.yaml", "distribution.yaml")):
            return folder
    raise ConfigError(
        "no checkout or project here: there is no build/distribution.yaml and no build/project.yaml",
        hint="change to one, or use --root; photonbuild init DIR makes a project",
    )
