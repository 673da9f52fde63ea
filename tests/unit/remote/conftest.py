"""An engine in memory, and the client's connection to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from photonbuild.remote import actions, blobs, connection
from photonbuild.remote.endpoint import endpoint
from photonbuild.remote.engine import Engine, engine
from tests.unit.remote.fake import Server, serve


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, blobs, actions):
        monkeypatch.setattr(module, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def found(server: Server) -> Iterator[Engine]:
    with serve(server) as address, engine(endpoint(address)) as one:
        yield one
