"""Certificates of tests, and a web server over TLS that a guest reaches, with an authority of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.machines.hardware import HOST_SEEN_BY_GUEST
from photonbuild.sandbox.sandbox import Bind, Sandbox
from tests.support import serving


@dataclass
class Server:
    """A web server over TLS: `files` by path, with a certificate of an authority of its own; `asked` has every path."""

    port: int
    authority: str
    files: dict[str, bytes]
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://{HOST_SEEN_BY_GUEST}:{self.port}"


def make_certificates(work: Path, tool: Callable[[Sequence[str], Path], None]) -> None:
    """In `work`: ``ca.pem`` of a new authority, ``server.pem`` for the address that the guest sees, and ``key.pem``."""
    (work / "extensions").write_text(f"subjectAltName=IP:{HOST_SEEN_BY_GUEST}\n", encoding="utf-8")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for argv in (
        ["req", "-x509", *key, "-days", "3650", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"],
        ["req", *key, "-subj", "/CN=test server", "-keyout", "key.pem", "-out", "request.pem"],
        ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650",
         "-extfile", "extensions", "-out", "server.pem"],
    ):  # fmt: skip
        tool(["env", "-C", "/work", "openssl", *argv], work)


def loopback_certificate(seed: Path, work: Path, dates: Sequence[str] = ("-days", "3650")) -> Path:
    """In the new folder `work`, by openssl(1) of `seed`: ``both.pem``, a certificate for 127.0.0.1 with its key.

    It is its own authority; ``certificate.pem`` has no key. `dates`: options of openssl-req(1), when it is valid.
    """
    (work / "scratch").mkdir(parents=True)
    sandbox = Sandbox(layers=[seed], scratch=work / "scratch", binds=[Bind(work, "/work", readonly=False)])
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", *dates]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/work/key.pem"]
    sandbox.run(["openssl", "req", "-x509", *key, *name, "-out", "/work/certificate.pem"])
    both = work / "both.pem"
    both.write_bytes((work / "certificate.pem").read_bytes() + (work / "key.pem").read_bytes())
    return both


@contextlib.contextmanager
def https_server(files: dict[str, bytes], work: Path, tool: Callable[[Sequence[str], Path], None]) -> Iterator[Server]:
    """On this machine's loopback, which the guest sees; until the block ends.

    `tool` runs a program with the folder of its second argument, here the new folder `work`, at /work.
    """
    work.mkdir()
    make_certificates(work, tool)
    served = Server(port=0, authority=(work / "ca.pem").read_text(encoding="ascii"), files=files)
    handler = serving.contents(served.files, served.asked)
    with serving.served(handler, certificate=work / "server.pem", key=work / "key.pem") as served.port:
        yield served
