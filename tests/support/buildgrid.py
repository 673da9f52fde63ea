"""BuildGrid, another engine than the one of most tests, with a worker by its own library, until a block ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from photonbuild.machines.ssh import free_port
from photonbuild.store import Store
from tests.support.cluster import Program
from tests.support.native import ROOT
from tests.support.serving import wait_for_port
from tests.support.wheels import wheels

HERE = ROOT / "tests" / "cluster" / "buildgrid"
SETTINGS = """\
server:
  - !channel {{address: "127.0.0.1:{port}", insecure-mode: true}}
connections:
  - !sql-connection &sql {{connection-string: "sqlite:///{folder}/jobs.db"}}
storages:
  - !disk-storage &storage {{path: {folder}/storage}}
caches:
  - !lru-action-cache &cache {{storage: *storage, max-cached-refs: 1000, allow-updates: true}}
schedulers:
  - !sql-scheduler &scheduler {{sql: *sql, storage: *storage, action-cache: *cache}}
instances:
  - name: ""
    services:
      - !action-cache {{cache: *cache}}
      - !execution {{scheduler: *scheduler}}
      - !cas {{storage: *storage}}
      - !bytestream {{storage: *storage}}
thread-pool-size: 30
"""
TABLES = """\
from sqlalchemy import create_engine
from buildgrid.server.sql.models import Base
Base.metadata.create_all(create_engine("sqlite:///{folder}/jobs.db"))
"""
SERVER = "from buildgrid.server.app import cli; cli()"


@contextlib.contextmanager
def buildgrid(store: Store, folder: Path) -> Iterator[str]:
    """The address of a server with one worker, which keep everything in `folder`."""
    port = free_port()
    folder.mkdir()
    (folder / "settings.yml").write_text(SETTINGS.format(port=port, folder=folder), encoding="utf-8")
    python = [sys.executable, "-B", "-W", "ignore"]
    env = {"PYTHONPATH": str(wheels(store, HERE / "requirements.lock"))}
    subprocess.run([*python, "-c", TABLES.format(folder=folder)], env={**os.environ, **env}, check=True)
    server = Program(
        name="server",
        argv=[*python, "-c", SERVER, "server", "start", str(folder / "settings.yml")],
        log=folder / "server.log",
        environment=env,
    )
    bot = Program(
        name="bot",
        argv=[*python, str(HERE / "bot.py"), f"127.0.0.1:{port}", str(folder / "build")],
        log=folder / "bot.log",
        environment={**env, "PB_CACHE": str(folder / "cache")},
    )
    try:
        server.start()
        wait_for_port(port)
        bot.start()
        yield f"grpc://127.0.0.1:{port}"
    finally:
        bot.stop()
        server.stop()
