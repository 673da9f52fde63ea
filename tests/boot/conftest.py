"""The image under test and the machine seed. A boot test that cannot run fails, it is never skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from photonbuild import config
from photonbuild.config import Config
from photonbuild.log import Reporter
from photonbuild.session import Session
from photonbuild.store import Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def configuration() -> Config:
    return config.load(ROOT)


@pytest.fixture(scope="session")
def store(configuration: Config) -> Store:
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "photonbuild"
    chosen = os.environ.get("PHOTONBUILD_STORE")
    return Store.open(configuration.user.store_path or (Path(chosen) if chosen else default))


@pytest.fixture(scope="session")
def machine_seed(configuration: Config, store: Store) -> Path:
    return Session(config=configuration, store=store, reporter=Reporter()).machine_seed.root


@pytest.fixture(scope="session")
def iso(configuration: Config) -> Path:
    """PHOTONBUILD_IMAGE, else the ISO of this checkout."""
    default = configuration.stage_dir / "images" / f"{configuration.distribution.prefix}.iso"
    image = Path(os.environ.get("PHOTONBUILD_IMAGE") or default)
    if not image.is_file():
        pytest.fail(f"{image} does not exist: make iso", pytrace=False)
    return image
