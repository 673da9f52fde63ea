"""The ISO as a machine: `photonbuild verify` under BIOS, and as a USB stick under UEFI."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
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


def test_the_iso_boots_from_a_usb_stick_under_uefi(iso: Path, store: Store, machine_seed: Path) -> None:
    """The other pairs of firmware and controller, and every check under UEFI, are in the matrix."""
    boot_from_stick(iso, store, machine_seed, "uefi", "usb-xhci")
