"""One machine, and what tests put into it. A boot test that cannot run fails, it is never skipped."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.log import Reporter
from photonbuild.machines.guest import APPLETS, BOX, put_box
from photonbuild.packages.built import tree_of
from photonbuild.pipeline.build import build_packages
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.support.garden_client import Garden
from tests.support.garden_lab import SOCKET, Lab
from tests.support.machines import Guest, booted
from tests.support.registry import Registry, box_repository, registry


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest, configuration: Config, store: Store) -> Iterator[Guest]:
    """One machine of the ISO for all tests that want no other; PHOTONBUILD_MACHINE names one that runs already."""
    if running := os.environ.get("PHOTONBUILD_MACHINE"):
        image, seed = Path(running), Path(running)
    else:
        image, seed = request.getfixturevalue("iso"), request.getfixturevalue("machine_seed")
    with booted(image, configuration, seed, store.scratch) as machine:
        yield machine


@pytest.fixture(scope="module")
def box(guest: Guest) -> Iterator[str]:
    """The path of a root file system in the machine, of one static program."""
    yield put_box(guest.config, guest.busybox)
    guest.ssh(f"rm -rf {BOX}")


@pytest.fixture(scope="module")
def images(guest: Guest) -> Iterator[Registry]:
    """A registry outside the machine with the repository ``box``."""
    with registry({"box": box_repository(guest.busybox, APPLETS.split())}) as served:
        yield served


@pytest.fixture(scope="module")
def garden(guest: Guest) -> Iterator[Garden]:
    """Garden's server in the machine, through a socket here."""
    # A short path: socket names are limited to 107 bytes.
    with tempfile.TemporaryDirectory(prefix="garden-") as folder, guest.socket(SOCKET, Path(folder) / "sock") as local:
        yield Garden(local)


@pytest.fixture
def lab(guest: Guest, garden: Garden, box: str) -> Iterator[Lab]:
    """Containers that are gone after the test."""
    made = Lab(guest, garden, box)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(guest: Guest, garden: Garden, box: str) -> Iterator[tuple[Lab, str]]:
    """One container for tests that leave it as it was."""
    made = Lab(guest, garden, box)
    yield made, made.create()
    made.close()


@pytest.fixture(scope="module")
def ace_images(configuration: Config, store: Store) -> list[Path]:
    """The App Container validator's images, main and sidekick, as the package `appc-ace` holds them."""
    # No image has it, so that nothing has fetched its sources before.
    session = Session(config=configuration, store=store, reporter=Reporter())
    built = build_packages(session, ["appc-ace"])["appc-ace"]
    found = {path.name: path for package in built.packages for path in tree_of(package).glob("usr/share/appc/*.aci")}
    return [found[f"ace-validator-{name}.aci"] for name in ("main", "sidekick")]
