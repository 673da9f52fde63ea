"""The build seed and what is made with it; on an empty store the seed is made first."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.log import Reporter
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.support.native import C, Go


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-seconds", type=int, help="how long each fuzz target runs")


@pytest.fixture(scope="session")
def session(configuration: Config, store: Store) -> Session:
    return Session(config=configuration, store=store, reporter=Reporter())


@pytest.fixture(scope="session")
def go(session: Session) -> Go:
    return Go(session)


@pytest.fixture(scope="session")
def agent(session: Session, tmp_path_factory: pytest.TempPathFactory) -> C:
    return made(session, "pico-agent", tmp_path_factory.mktemp("agent"))


@pytest.fixture(scope="session")
def zygote(session: Session, tmp_path_factory: pytest.TempPathFactory) -> C:
    return made(session, "pico-zygote", tmp_path_factory.mktemp("zygote"))


@pytest.fixture(scope="session")
def network(session: Session, tmp_path_factory: pytest.TempPathFactory) -> C:
    return made(session, "pico-net", tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="session")
def client(session: Session, tmp_path_factory: pytest.TempPathFactory) -> C:
    return made(session, "tdnf", tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="session")
def assessment(session: Session, tmp_path_factory: pytest.TempPathFactory) -> C:
    return made(session, "boot-assessment", tmp_path_factory.mktemp("assessment"))


def made(session: Session, name: str, folder: Path) -> C:
    """The program and those of its tests."""
    program = C(session, name, folder)
    program.make("tests")
    return program
