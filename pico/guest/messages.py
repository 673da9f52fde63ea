"""What the host tells a pico machine and is told by it, as values; see docs/reference/pico-protocol.md."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """Who answers: versions of protocol, agent and kernel; ``waiting`` is before SETUP. `clock`: the clock source."""

    version: int
    agent: str
    kernel: str
    state: Literal["waiting", "ready", "stopping"]
    clock: str = ""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """The 9P share with mount tag `tag`, or the one file or folder `part` of it, seen by the container at `target`."""

    tag: str
    target: str
    readonly: bool = False
    part: str | None = None

    def __str__(self) -> str:
        source = self.tag if self.part is None else f"{self.tag}/{self.part}"
        return f"{source}:{self.target}:{'ro' if self.readonly else 'rw'}"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What makes a machine one of its own. `entropy`: 32 bytes at least; `clock` in ns since 1970, None for now.

    `machine_id`: 32 hexadecimal digits. `address` is an IPv4 address with its prefix length. `tmpfs` are targets, each
    with mount options after a colon if any. `readonly`: the container cannot write its root.
    """

    entropy: bytes
    hostname: str
    machine_id: str
    clock: int | None = None
    mac: str | None = None
    network: Literal["none", "dhcp", "static"] = "none"
    address: str | None = None
    gateway: str | None = None
    dns: Sequence[str] = ()
    root: str = "/dev/vda"
    rootfs: str = "erofs"
    volumes: Sequence[Volume] = ()
    tmpfs: Sequence[str] = ()
    readonly: bool = False

    def pairs(self) -> list[tuple[str, str]]:
        """The records of a SETUP frame."""
        clock = time.time_ns() if self.clock is None else self.clock
        optional = {"mac": self.mac, "address": self.address, "gateway": self.gateway}
        return [
            ("entropy", self.entropy.hex()),
            ("clock", str(clock)),
            ("hostname", self.hostname),
            ("machine-id", self.machine_id),
            ("network", self.network),
            *((key, value) for key, value in optional.items() if value is not None),
            *(("dns", server) for server in self.dns),
            ("root", self.root),
            ("rootfs", self.rootfs),
            *(("volume", str(volume)) for volume in self.volumes),
            *(("tmpfs", target) for target in self.tmpfs),
            ("readonly", _yes(self.readonly)),
        ]


@dataclass(frozen=True, kw_only=True)
class Process:
    """What is started. `user` as in an OCI configuration; `groups`: more groups, by name or number.

    The machine lives as long as its `main` process. Without `stdin` the process reads nothing.
    """

    args: Sequence[str]
    env: Sequence[str] = ()
    cwd: str = "/"
    user: str = ""
    groups: Sequence[str] = ()
    tty: bool = False
    rows: int = 24
    columns: int = 80
    main: bool = True
    stdin: bool = False

    def pairs(self) -> list[tuple[str, str]]:
        """The records of a START frame."""
        return [
            *(("arg", word) for word in self.args),
            *(("env", entry) for entry in self.env),
            ("cwd", self.cwd),
            ("user", self.user),
            *(("group", group) for group in self.groups),
            ("tty", _yes(self.tty)),
            ("rows", str(self.rows)),
            ("columns", str(self.columns)),
            ("main", _yes(self.main)),
            ("stdin", _yes(self.stdin)),
        ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
