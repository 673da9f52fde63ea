"""The ISO as a machine: `photonbuild verify` under BIOS, and as a USB stick under UEFI."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.store import Store
from tests.support.published import verify_image
from tests.support.usb import boot_from_stick

pytestmark = pytest.mark.boot

IDLE_MEMORY_MB = 350


def test_every_check(
    iso: Path, configuration: Config, store: Store, machine_seed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        first = verify_image(iso, configuration, store, machine_seed, "bios")
    for runtime in configuration.runtimes:
        assert runtime.name in first.stages, f"{runtime.package} is not in the image"
    assert first.memory_used <= IDLE_MEMORY_MB * 1_000_000


@pytest.mark.long
def test_the_iso_boots_from_a_usb_stick_under_uefi(iso: Path, store: Store, machine_seed: Path) -> None:
    """The other pairs of firmware and controller, and every check under UEFI, are in the matrix."""
    boot_from_stick(iso, store, machine_seed, "uefi", "usb-xhci")
