"""What ``pico run`` was asked for, as one value."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from pico import options as values
from pico.launch import Share
from pico.options import Port


@dataclass(frozen=True, kw_only=True)
class Request:
    """Each value checked. None where the image or the settings decide."""

    image: str
    command: Sequence[str] = ()
    entrypoint: str | None = None
    env: Sequence[str] = ()
    cwd: str | None = None
    user: str | None = None
    groups: Sequence[str] = ()
    name: str | None = None
    hostname: str | None = None
    memory: int | None = None
    cpus: float | None = None
    ports: Sequence[Port] = ()
    shares: Sequence[Share] = ()
    tmpfs: Sequence[str] = ()
    network: str = "user"
    stop_signal: str | None = None
    stdin: bool = False
    tty: bool = False
    detach: bool = False
    remove: bool = False
    readonly: bool = False
    cold: bool = False
    use_spares: bool = True
    fill_spares: bool = True


def of(options: argparse.Namespace) -> Request:
    """What the command line asks for. Raises PicoError."""
    return Request(
        image=options.image,
        command=options.command,
        entrypoint=options.entrypoint,
        env=values.environment(options.env, options.env_file),
        cwd=options.workdir,
        user=options.user,
        groups=options.group_add,
        name=values.machine_name(options.name) if options.name else None,
        hostname=values.host_name(options.hostname) if options.hostname else None,
        memory=values.memory(options.memory) if options.memory else None,
        cpus=values.cpus(options.cpus) if options.cpus else None,
        ports=[values.port(text) for text in options.publish],
        shares=values.shares(options.volume),
        tmpfs=options.tmpfs,
        network=options.network,
        stop_signal=options.stop_signal,
        stdin=options.interactive,
        tty=options.tty,
        detach=options.detach,
        remove=options.rm,
        readonly=options.read_only,
        cold=options.cold,
        use_spares=not options.no_spare,
    )
