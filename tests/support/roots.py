"""Debian roots with programs of others that tests use: those that judge what is published, and clang.

tools/run python -m tests.support.roots NAME       resolves the lock of tests/data/roots/NAME.yaml anew
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from photonbuild.config import validation
from photonbuild.config.load import Config
from photonbuild.config.models import Seed
from photonbuild.paths import default_store
from photonbuild.pipeline.configuration import load_config
from photonbuild.seeds import seed
from photonbuild.store import Store

ROOT = Path(__file__).parents[2]


def with_root(config: Config, name: str) -> Config:
    """The configuration with one seed more."""
    found = validation.load(ROOT / "tests" / "data" / "roots" / f"{name}.yaml", Seed)
    return replace(config, more_seeds={**config.more_seeds, name: found})


def root_of(config: Config, store: Store, name: str) -> Path:
    """The root, from the store or made now."""
    return seed.build(with_root(config, name), store, name, print, locked=False, offline=False).root


if __name__ == "__main__":
    name = sys.argv[1]
    sys.stdout.write(f"{seed.lock(with_root(load_config(ROOT), name), Store.open(default_store()), name, print)}\n")
