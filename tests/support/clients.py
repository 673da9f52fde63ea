"""A Debian root with the programs of others that judge what is published: dnf, and sshd with rsync.

tools/run python -m tests.support.clients       resolves its lock anew
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
NAME = "clients"


def with_clients(config: Config) -> Config:
    """The configuration with one seed more."""
    clients = validation.load(ROOT / "tests" / "data" / "clients" / "clients.yaml", Seed)
    return replace(config, more_seeds={**config.more_seeds, NAME: clients})


def clients_root(config: Config, store: Store) -> Path:
    """The root, from the store or made now."""
    return seed.build(with_clients(config), store, NAME, print, locked=False, offline=False).root


if __name__ == "__main__":
    sys.stdout.write(f"{seed.lock(with_clients(load_config(ROOT)), Store.open(default_store()), NAME, print)}\n")
