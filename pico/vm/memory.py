"""The host's memory, and whether another machine has room in it."""

from __future__ import annotations

from pathlib import Path

from pico.errors import PicoError

LEAST_LEFT = 128  # MiB of the host's memory that no new machine is given


def of_host() -> tuple[int, int]:
    """MiB of memory that this host has, and that programs can still have."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    found = {key: int(rest.split()[0]) >> 10 for key, _, rest in (line.partition(":") for line in lines)}
    return found["MemTotal"], found["MemAvailable"]


def require(size: int, least: int = LEAST_LEFT) -> None:
    """Raises PicoError when a machine of `size` MiB can never be here, or when less than `least` MiB are left.

    A machine takes what its guest uses, so all of them together may have more than there is.
    """
    total, available = of_host()
    if size > total:
        raise PicoError(f"no memory for a machine of {size} MiB: this host has {total} MiB")
    if available < least:
        raise PicoError(
            f"no memory left for another machine: {available} MiB of {total} are available",
            hint="pico ps, then stop what is not needed",
        )
