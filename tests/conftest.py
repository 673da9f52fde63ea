"""All tests: signals as a terminal sets them up; the checkout, its store, its ISO. What is missing fails a test."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.log import Reporter
from photonbuild.machines.ssh import one_time_key
from photonbuild.paths import default_store
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.support.installs import InstallLab

# A shell starts background jobs with SIGINT ignored, and programs hand that on to those they start: there, nothing
# would end on Ctrl-C, and the tests that it does would judge the shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often a build is killed, and by which numbers the moments are chosen; what is measured."""
    parser.addoption("--kills", type=int, default=6, help="how many builds test_faults_kill kills")
    parser.addoption("--cheapest", type=int, default=0, help="tests/cluster/cold.py: so many packages, not an image")
    parser.addoption("--kill-seed", type=int, default=0, help="the first of the seeds of their moments")


@pytest.fixture(scope="session", autouse=True)
def no_agent_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """gpg starts an agent for each of its folders, which would outlive the tests."""
    yield
    for ring in tmp_path_factory.getbasetemp().rglob("pubring.kbx"):
        subprocess.run(["gpgconf", "--homedir", str(ring.parent), "--kill", "all"], check=True)


@pytest.fixture(scope="session")
def configuration() -> Config:
    return load_config(ROOT)


@pytest.fixture(scope="session")
def store(configuration: Config) -> Store:
    return Store.open(configuration.user.store_path or default_store())


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


@pytest.fixture(scope="session")
def installs(configuration: Config, store: Store, iso: Path, tmp_path_factory: pytest.TempPathFactory) -> InstallLab:
    """Where installations are tried. The disks are sparse files, a few hundred MB each."""
    session = Session(config=configuration, store=store, reporter=Reporter())
    folder = tmp_path_factory.mktemp("installs")
    return InstallLab(iso=iso, configuration=configuration, session=session, folder=folder, key=one_time_key(folder))
