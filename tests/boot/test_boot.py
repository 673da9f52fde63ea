"""The ISO as a machine: `photonbuild verify` with both kinds of firmware, and as a USB stick."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.images.format import Bus
from photonbuild.machines.hardware import Firmware
from photonbuild.machines.report import Boot
from photonbuild.store import Store
from tests.support.published import verify_image
from tests.support.usb import boot_from_stick

pytestmark = pytest.mark.boot

DOCKER_READY_SECONDS = 25
IDLE_MEMORY_MB = 350


def test_every_check(
    iso: Path, configuration: Config, store: Store, machine_seed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def boot() -> Boot:
        with capsys.disabled():
            return verify_image(iso, configuration, store, machine_seed, "bios")

    first = boot()
    for runtime in configuration.runtimes:
        assert runtime.name in first.stages, f"{runtime.package} is not in the image"
    assert first.memory_used <= IDLE_MEMORY_MB * 1_000_000
    # What the image can do, not what else the machine is doing: a slow boot is judged by a second one.
    if first.stages["docker"] > DOCKER_READY_SECONDS:
        assert boot().stages["docker"] <= DOCKER_READY_SECONDS


def test_the_system_under_uefi(
    iso: Path, configuration: Config, store: Store, machine_seed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What another firmware changes; the matrix has every check under it."""
    with capsys.disabled():
        boot = verify_image(iso, configuration, store, machine_seed, "uefi", checks_of=[])
    assert {check.name.partition(":")[0] for check in boot.checks} == {"system"}


@pytest.mark.parametrize(("firmware", "bus"), [("bios", "usb-ehci"), ("uefi", "usb-xhci")])
def test_the_iso_boots_from_a_usb_stick(
    iso: Path, store: Store, machine_seed: Path, firmware: Firmware, bus: Bus
) -> None:
    """The other two pairs are in the matrix."""
    boot_from_stick(iso, store, machine_seed, firmware, bus)
