"""An engine of remote execution: its storage and its actions, over one connection."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from photonbuild.remote.actions import Actions
from photonbuild.remote.blobs import Blobs
from photonbuild.remote.connection import Connection
from photonbuild.remote.endpoint import Endpoint


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine that answers. `platform`: the properties that a worker must have."""

    connection: Connection
    blobs: Blobs
    actions: Actions
    platform: Mapping[str, str]


@contextlib.contextmanager
def engine(
    endpoint: Endpoint, platform: Mapping[str, str] | None = None, *, execution: bool = True
) -> Iterator[Engine]:
    """A connection to an engine while the block runs. Raises RemoteError when it lacks what is needed."""
    connection = Connection(endpoint)
    try:
        connection.check(execution=execution)
        connection.beat()
        blobs = Blobs(connection)
        yield Engine(
            connection=connection, blobs=blobs, actions=Actions(connection, blobs), platform=dict(platform or {})
        )
    finally:
        connection.close()
