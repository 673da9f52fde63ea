"""Tests of whole images: every format, every layout, both kinds of firmware. Minutes each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from photonbuild import config
from photonbuild.config import Config
from photonbuild.image import make_image
from photonbuild.log import Reporter
from photonbuild.session import Session
from photonbuild.store import Store

from ..boot.conftest import configuration, iso, machine_seed, store  # noqa: F401 (fixtures here, too)
from ..installs import installs  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
# What a checkout consists of, as far as images are concerned.
PARTS = ("build", "kickstarts", "photonbuild", "specs")
Variant = Callable[..., Path]


def session_of(read: Config, place: Store) -> Session:
    return Session(config=read, store=place, reporter=Reporter())


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project in another folder, to change and to compare with."""
    folder = tmp_path_factory.mktemp("elsewhere") / "a checkout"
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    shutil.copy(ROOT / "LICENSE", folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def variant(checkout: Path, store: Store) -> Variant:  # noqa: F811
    """Make an image of the name `base` with other settings of its disk: ``variant("raw", filesystem="xfs")``."""

    def make(base: str, **disk: object) -> Path:
        settings = yaml.safe_load((checkout / "build" / "images" / f"{base}.yaml").read_text(encoding="utf-8"))
        settings["disk"] |= disk
        settings["variant"] = "-" + "".join(str(value).lower().replace(" ", "") for value in disk.values())
        name = base + settings["variant"]
        (checkout / "build" / "images" / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        return make_image(session_of(config.load(checkout), store), name, [])[0].path

    return make
