"""Machines that start from the network, by iPXE: QEMU's ROM with a BIOS, Debian's program with UEFI."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from photonbuild.config.load import Config
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.netboot import Netboot, from_network, serve_image
from photonbuild.machines.qemu import Machine
from photonbuild.seeds.fetch import fetch_debs
from photonbuild.seeds.lock import Deb
from photonbuild.store import Store
from tests.support.terminal import Terminal

LOCK = Path(__file__).parents[1] / "data/ipxe.json"
START = "/start.ipxe"


def ipxe_program(configuration: Config, store: Store, folder: Path) -> Path:
    """iPXE for UEFI, which uses the firmware's own driver of the card, from a package of the machine seed's suite."""
    deb = Deb(**json.loads(LOCK.read_text(encoding="utf-8")))
    [path] = fetch_debs(configuration, store, configuration.seed("machine"), [deb], print, locked=True)
    subprocess.run(["dpkg-deb", "-x", path, folder], check=True)
    return folder / "usr/lib/ipxe/snponly.efi"


@contextlib.contextmanager
def netbooted(
    hardware: Hardware,
    script: Path,
    store: Store,
    seed: Path,
    *,
    settings: Mapping[str, str],
    files: Mapping[str, bytes] | None = None,
    program: Path | None = None,
) -> Iterator[tuple[Machine, Terminal, Netboot]]:
    """A machine that is led to `script` by one that makes these settings, where ``BASE`` is the URL of `files`."""
    extra = dict(files or {})
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="photonbuild-")))
        served = stack.enter_context(serve_image(script, extra))
        chain = served.chain({name: value.replace("BASE/", served.url) for name, value in settings.items()})
        extra[START] = chain.encode()
        started = from_network(hardware, f"{served.url.rstrip('/')}{START}", program=program, folder=folder)
        machine = stack.enter_context(Machine(started, seed=seed, scratch=store.scratch))
        terminal = stack.enter_context(Terminal(machine))
        yield machine, terminal, served


def plain(store: Store, seed: Path, **changes: object) -> Hardware:
    return Hardware(accel=best_accel(seed, store.scratch), **changes)  # type: ignore[arg-type]
