"""The ISO as a machine: `photonbuild verify` under BIOS, and as a USB stick under UEFI."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.verify import BOOT_TIMEOUT, measure
from photonbuild.store import Store
from tests.support.published import verify_image
from tests.support.usb import boot_from_stick

pytestmark = pytest.mark.boot

DOCKER_READY_SECONDS = 25
IDLE_MEMORY_MB = 350


def test_every_check(
    iso: Path, configuration: Config, store: Store, machine_seed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        first = verify_image(iso, configuration, store, machine_seed, "bios")
    for runtime in configuration.runtimes:
        assert runtime.name in first.stages, f"{runtime.package} is not in the image"
    assert first.memory_used <= IDLE_MEMORY_MB * 1_000_000
    # What the image can do, not what else the machine is doing: a slow boot is judged by a second one.
    if first.stages["docker"] > DOCKER_READY_SECONDS:
        with boot_drive(iso) as drive:
            hardware = Hardware(boot_drive=drive, firmware="bios", accel=first.accel)
            with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
                machine.wait_for_ssh(BOOT_TIMEOUT)
                stages, _ = measure(machine, configuration.runtimes)
        assert stages["docker"] <= DOCKER_READY_SECONDS


@pytest.mark.long
def test_the_iso_boots_from_a_usb_stick_under_uefi(iso: Path, store: Store, machine_seed: Path) -> None:
    """The other pairs of firmware and controller, and every check under UEFI, are in the matrix."""
    boot_from_stick(iso, store, machine_seed, "uefi", "usb-xhci")
