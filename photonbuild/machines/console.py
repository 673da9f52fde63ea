"""Boots an image with its serial console in this terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.clouds import metadata_service, platform_bus, provisioned
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Firmware, Hardware
from photonbuild.machines.netboot import NETBOOT, from_network, serve_image
from photonbuild.machines.qemu import Machine


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

    A one-time ssh key lets root in for as long as the machine runs, on a `platform` also its default user `user`,
    through the platform's metadata service; nothing is written to the image.
    """
    accel = best_accel(seed, scratch)
    with contextlib.ExitStack() as stack:
        hardware = Hardware(firmware=firmware, memory=memory, accel=accel, interactive=True)
        if image.suffix == NETBOOT:
            served = stack.enter_context(serve_image(image))
            hardware = from_network(hardware, f"{served.url}{served.script}")
        else:
            drive = boot_drive(image, as_disk=as_disk, bus=platform_bus(platform), firmware=firmware)
            hardware = replace(hardware, boot_drive=stack.enter_context(drive))
        service = stack.enter_context(metadata_service(platform, image, user=user, seed=seed, scratch=scratch))
        if service is not None:
            hardware = provisioned(hardware, service)
        machine = stack.enter_context(Machine(hardware, seed=seed, scratch=scratch))
        say(f"from another terminal: ssh -F {machine.config} machine")
        say("Ctrl-A X switches the machine off, Ctrl-A C is QEMU's monitor")
        return machine.process.wait()
