"""The storage of an engine as a shared cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.cache.signature import new_key
from photonbuild.files import sha256_of
from photonbuild.pipeline.session import Session
from tests.integration.conftest import Checkout, make_checkout
from tests.support.buildgrid import buildgrid
from tests.support.cluster import Cluster


@pytest.fixture(params=["buildbarn", "buildgrid"])
def address(request: pytest.FixtureRequest, session: Session, tmp_path: Path) -> Iterator[str]:
    """Of an engine's storage."""
    if request.param == "buildgrid":
        with buildgrid(session.store, tmp_path / "buildgrid") as found:
            yield found
    else:
        yield request.getfixturevalue("trio").address


def test_what_one_has_built_another_takes(address: str, trio: Cluster, tmp_path: Path, seeded_store: Path) -> None:
    """Signed, by the storage alone: nothing is executed there, and nothing is built by the second."""
    checkout = make_checkout(tmp_path, seeded_store)
    public, secret = new_key("team", tmp_path / "keys")

    def machine(name: str, **more: str) -> Checkout:
        access = "write" if more else "read"
        caches = [{"name": "engine", "url": address, "access": access}]
        return checkout.machine(tmp_path / name, {"cache": {"caches": caches, "trust": [str(public)], **more}})

    before = trio.executed()
    ci, desk = machine("ci", key=str(secret)), machine("desk")
    ci.run("build")
    desk.run("build", "--from-cache-only")
    assert digests_of(ci.store) == digests_of(desk.store) and trio.executed() == before


def digests_of(store: Path) -> dict[str, str]:
    """SHA-256 by NAME/KEY/rpms/FILE; what came from a cache lies below its signer's name."""
    files = [*store.glob("packages/*/*/rpms/*.rpm"), *store.glob("shared/*/complete/*/*/rpms/*.rpm")]
    found = {"/".join(path.parts[-4:]): sha256_of(path) for path in files}
    assert len(found) > 5
    return found
