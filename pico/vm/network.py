"""The network of a machine: a process beside its QEMU, with the sockets that the guest's frames become.

QEMU itself is in an empty network namespace. The process is jailed as QEMU is, but for the network; it is
``src/pico-net`` with libslirp of the machine seed, and ends when QEMU does. The guest reaches what this host reaches,
except this host's own loopback. Ports are bound here, with the caller's rights, and handed over.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pico.errors import PicoError
from pico.vm import jail
from pico.vm.host import Host

# A file of an image, which need not be executable, is run by the seed's loader.
LOADER = "/lib64/ld-linux-x86-64.so.2"
PROGRAM, RESOLV_CONF = "/run/pico-net", "/etc/resolv.conf"
BACKLOG = 128
LARGEST_OUTPUT = 1 << 20  # bytes of what the process says
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@dataclass(frozen=True)
class Port:
    """A published port. `address` is empty for all of the host's."""

    protocol: str
    address: str
    here: int
    there: int

    def __str__(self) -> str:
        return f"{self.address or '0.0.0.0'}:{self.here}->{self.there}/{self.protocol}"


@contextlib.contextmanager
def published(ports: Sequence[Port]) -> Iterator[list[socket.socket]]:
    """A socket for each port, bound with the rights of the caller. Raises PicoError when one is taken."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_bound(port)) for port in ports]


def _bound(port: Port) -> socket.socket:
    sock = socket.socket(socket.AF_INET, KINDS[port.protocol])
    try:
        if port.protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((port.address or "0.0.0.0", port.here))
        if port.protocol == "tcp":
            sock.listen(BACKLOG)
    except OSError as exc:
        sock.close()
        hint = "ports below 1024 are root's" if isinstance(exc, PermissionError) else "is the port taken?"
        where = f"{port.protocol}:{port.address}:{port.here}"
        raise PicoError(f"cannot publish {where}: {exc.strerror}", hint=hint) from exc
    return sock


def argv(frames: int, ports: Sequence[tuple[Port, int]], resolver: str | None) -> list[str]:
    """The command line of the process. Pure. `ports` with the numbers of their sockets."""
    known = ["-r", resolver] if resolver else []
    return [LOADER, PROGRAM, str(frames), *known, *(f"{port.protocol}:{port.there}:{number}" for port, number in ports)]


def own_resolver(text: str) -> str | None:
    """The name server of this resolv.conf(5), the first with an IPv4 address, if it is on this host's loopback."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with contextlib.suppress(ValueError):
                address = ipaddress.IPv4Address(words[1])
                return str(address) if address.is_loopback else None
    return None


def start(
    host: Host,
    frames: socket.socket,
    ports: Sequence[tuple[Port, socket.socket]],
    *,
    output: int,
    groups: Sequence[Path],
) -> None:
    """Start the process on a connection to QEMU. Raises SandboxError."""
    resolv_conf = Path(RESOLV_CONF).resolve()
    known = resolv_conf.is_file()
    mounts = [jail.Mount(source=host.network, target=PROGRAM)]
    if known:
        mounts.append(jail.Mount(source=resolv_conf, target=RESOLV_CONF))
    resolver = own_resolver(resolv_conf.read_text(encoding="utf-8", errors="replace")) if known else None
    numbered = [(port, sock.fileno()) for port, sock in ports]
    jail.start(
        jail.Jail(root=host.seed, mounts=mounts, uid=host.uid, network=True),
        argv(frames.fileno(), numbered, resolver),
        jail.Inherited(
            output=output,
            descriptors=[frames.fileno(), *(number for _, number in numbered)],
            groups=groups,
            most=LARGEST_OUTPUT,
        ),
    )
