"""An image as a machine in this terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from photonbuild.machines.clouds import fitted, platform_bus, way_in
from photonbuild.machines.drive import medium
from photonbuild.machines.qemu import Firmware, Hardware, Machine, best_accel


def attach(
    image: Path,
    *,
    seed: Path,
    scratch: Path,
    firmware: Firmware = "bios",
    memory: int = 2048,
    as_disk: bool = False,
    platform: str | None = None,
    user: str,
    say: Callable[[str], None],
) -> int:
    """Boot `image` with its serial console in this terminal until it is switched off; QEMU's exit code.

    A one-time ssh key lets root in for as long as the machine runs, on a `platform` also its default user `user`, by
    the platform's own way; nothing is written to the image.
    """
    accel = best_accel(seed, scratch)
    with contextlib.ExitStack() as stack:
        plugged = stack.enter_context(medium(image, as_disk=as_disk, bus=platform_bus(platform), firmware=firmware))
        hardware = Hardware(medium=plugged, firmware=firmware, memory=memory, accel=accel, interactive=True)
        access = stack.enter_context(way_in(platform, user=user, seed=seed, scratch=scratch))
        if access is not None:
            hardware = fitted(hardware, access)
        machine = stack.enter_context(Machine(hardware, seed=seed, scratch=scratch))
        say(f"from another terminal: ssh -F {machine.config} machine")
        say("Ctrl-A X switches the machine off, Ctrl-A C is QEMU's monitor")
        return machine.process.wait()
