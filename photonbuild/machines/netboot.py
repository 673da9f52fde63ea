"""A machine that starts from the network: the folder of a netboot image over HTTP, and iPXE led to its script.

With a BIOS iPXE is the ROM of QEMU's card. UEFI has a network of its own, which reads no script: it is given iPXE as a
program, `snponly.efi` as distributions have it, by TFTP. https://ipxe.org/appnote/autoexec
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from photonbuild.errors import VerifyError
from photonbuild.images.formats import FORMATS
from photonbuild.machines.hardware import HOST_SEEN_BY_GUEST, INSIDE, Hardware
from photonbuild.machines.testnet import serving

NETBOOT = FORMATS["netboot"].suffix
TFTP = "tftp"
SCRIPT = "autoexec.ipxe"  # what iPXE runs when it was itself started by TFTP, from beside itself


@dataclass(frozen=True, kw_only=True)
class Netboot:
    """A served netboot image: `url` is that of its script's folder, `asked` are the paths that were asked for."""

    url: str
    script: str
    asked: list[str] = field(default_factory=list)

    def chain(self, settings: Mapping[str, str]) -> str:
        """A script that sets what the image's may be given, and goes on with that. Pure."""
        lines = [f"set {name} {value}\n" for name, value in settings.items()]
        return f"#!ipxe\n{''.join(lines)}chain {self.url}{self.script}\n"


@contextlib.contextmanager
def serve_image(script: Path, extra: Mapping[str, bytes] | None = None) -> Iterator[Netboot]:
    """The files beside a netboot image's script on this machine's loopback, and `extra` ones by path.

    `extra` may be filled while the block lasts. Raises VerifyError when there is no such script.
    """
    if not script.is_file():
        raise VerifyError("no such image", where=str(script), hint="photonbuild image NAME makes one")
    more = {} if extra is None else extra
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path not in more:
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(more[self.path])))
            self.end_headers()
            self.wfile.write(more[self.path])

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(script.parent))
    with serving(_Server(("127.0.0.1", 0), handler)) as port:
        yield Netboot(url=f"http://{HOST_SEEN_BY_GUEST}:{port}/", script=script.name, asked=asked)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A machine that is switched off, or refuses what is too large, breaks a transfer off."""


def from_network(hardware: Hardware, url: str, *, program: Path | None = None, folder: Path | None = None) -> Hardware:
    """The same machine, started by iPXE with the script at `url`.

    With UEFI iPXE is a `program`, and `folder` an empty one for the TFTP server, which must last as long as the
    machine. Raises VerifyError without them.
    """
    # Otherwise UEFI asks for addresses of IPv6 first, for a minute.
    network = [*hardware.network, "ipv6=off"]
    if hardware.firmware == "bios":
        return replace(hardware, netboot=True, network=[*network, f"bootfile={url}"])
    if program is None or folder is None:
        raise VerifyError(
            "UEFI starts no script of iPXE, and the machine seed has no program of it", hint="a BIOS does"
        )
    shutil.copyfile(program, folder / program.name)
    (folder / SCRIPT).write_text(f"#!ipxe\ndhcp\nchain {url}\n", encoding="utf-8")
    network += [f"tftp={INSIDE}-{TFTP}", f"bootfile={program.name}"]
    return replace(hardware, netboot=True, network=network, tftp=folder)
