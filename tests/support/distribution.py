"""The registry of the distribution project, over TLS and for those who log in; tests build it from its Go module."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.machines.hardware import HOST_SEEN_BY_GUEST
from photonbuild.machines.ssh import free_port
from photonbuild.pipeline.session import Session
from photonbuild.sandbox.sandbox import Bind, Sandbox
from tests.support.https import make_certificates
from tests.support.native import REGISTRY, go_program

USER, PASSWORD = "owner", "pass word"
HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuIt/9/tGzLcigNq/.RWIDjeEVR30RSf.\n"
START_SECONDS = 60


@dataclass(frozen=True)
class Distribution:
    """Where the guest sees it, and the certificate of its authority."""

    address: str
    authority: str


def configuration(port: int) -> str:
    """Its file, as JSON, which is YAML. https://distribution.github.io/distribution/about/configuration/"""
    tls = {"certificate": "/work/server.pem", "key": "/work/key.pem"}
    return json.dumps({
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": "/work/data"}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of a test", "tls": tls},
        "auth": {"htpasswd": {"realm": "test", "path": "/work/htpasswd"}},
    })  # fmt: skip


@contextlib.contextmanager
def distribution(session: Session, work: Path) -> Iterator[Distribution]:
    """On this machine's loopback, which the guest sees, with the new folder `work`; until the block ends."""
    program = go_program(session, REGISTRY)
    (work / "data").mkdir(parents=True)

    def tool(argv: Sequence[str], folder: Path) -> None:
        binds = [Bind(folder, "/work", readonly=False)]
        Sandbox(layers=[session.seed.root], scratch=session.store.scratch, binds=binds).run(argv)

    make_certificates(work, tool)
    port = free_port()
    (work / "htpasswd").write_text(HTPASSWD, encoding="ascii")
    (work / "config.yml").write_text(configuration(port), encoding="utf-8")
    sandbox = Sandbox(
        layers=[session.seed.root],
        scratch=session.store.scratch,
        binds=[Bind(work, "/work", readonly=False), Bind(program, "/program")],
        network=True,
    )
    with (work / "log").open("wb") as log:
        process = sandbox.popen(["/program/registry", "serve", "/work/config.yml"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            assert process.popen.poll() is None and time.monotonic() < deadline, (work / "log").read_text()
            time.sleep(0.2)
        authority = (work / "ca.pem").read_text(encoding="ascii")
        yield Distribution(address=f"{HOST_SEEN_BY_GUEST}:{port}", authority=authority)
    finally:
        process.kill()
