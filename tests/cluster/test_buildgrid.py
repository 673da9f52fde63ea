"""Another engine, with a worker by its own library: nothing of ours is made for Buildbarn alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.pipeline.session import Session
from tests.cluster.conftest import Client
from tests.integration.conftest import Checkout, make_checkout
from tests.support.buildgrid import buildgrid


@pytest.fixture(scope="module")
def address(session: Session, place: Path) -> Iterator[str]:
    with buildgrid(session.store, place / "buildgrid") as found:
        yield found


@pytest.fixture
def checkout(tmp_path: Path, seeded_store: Path) -> Checkout:
    return make_checkout(tmp_path / "client", seeded_store)


@pytest.fixture
def grid(address: str, checkout: Checkout, tmp_path: Path) -> Client:
    """Its builds are bounded by less than the two hours that an action may take there."""
    return Client(checkout.machine(tmp_path / "bounded", {"limits": {"hours": 1}}), address)


def test_the_small_distribution(grid: Client, other: Client, tmp_path: Path) -> None:
    """Every package, source package and file, by its digest; for another client from the action cache alone."""
    assert "5 packages: 5 built" in grid.build() and grid.checkout.leftovers() == []
    other.checkout.run("build")
    assert grid.digests() == other.digests() and len(grid.digests()) > 15
    again = Client(grid.checkout.machine(tmp_path / "again", {"limits": {"hours": 1}}), grid.address)
    again.build()
    assert again.digests() == grid.digests()
    assert "for somebody before" in again.checkout.run("log", "libmini").stdout


def test_a_package_that_does_not_build(grid: Client) -> None:
    grid.checkout.edit("mini-data", "%install\n", "%install\necho the end is near\nexit 3\n")
    said = grid.build("mini-data", code=6)
    assert "does not build" in said and "the end is near" in said and "tried again" not in said


def test_a_bound_that_the_engine_does_not_allow(address: str, checkout: Checkout) -> None:
    said = Client(checkout, address).build("mini-data", code=11)
    assert "Action timeout is larger" in said and "limits: {hours:}" in said
