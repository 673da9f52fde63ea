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
    """The folder that holds build/ and specs/: here, above here, or the one this program came with."""
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).parents[1]):
        if (folder / "build" / "distribution.yaml").exists():
            return folder
    raise ConfigError("no checkout here: there is no build/distribution.yaml", hint="change to one, or use --root")
