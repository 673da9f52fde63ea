"""An image as a machine in this terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .qemu import Firmware, Hardware, Machine, best_accel


def attach(
    image: Path,
    *,
    seed: Path,
    scratch: Path,
    firmware: Firmware = "bios",
    memory: int = 2048,
    as_disk: bool = False,
    say: Callable[[str], None],
) -> int:
    """Boot `image` with its serial console in this terminal until it is switched off; QEMU's exit code.

    A one-time ssh key lets root in for as long as the machine runs; nothing is written to the image.
    """
    accel = best_accel(seed, scratch)
    hardware = Hardware(image=image, firmware=firmware, memory=memory, accel=accel, as_disk=as_disk, interactive=True)
    with Machine(hardware, seed=seed, scratch=scratch) as machine:
        say(f"from another terminal: ssh -F {machine.config} machine")
        say("Ctrl-A X switches the machine off, Ctrl-A C is QEMU's monitor")
        return machine.process.wait()
