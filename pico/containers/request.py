"""A container as it is asked for: one value, whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pico.vm.launch import Share
from pico.vm.network import Port

WINDOW = 24, 80


@dataclass(frozen=True, kw_only=True)
class Request:
    """Each value checked. None where the image or the settings decide. `window`: rows and columns of the terminal."""

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
    window: tuple[int, int] = WINDOW
    remove: bool = False
    readonly: bool = False
    cold: bool = False
    use_spares: bool = True
    fill_spares: bool = True
