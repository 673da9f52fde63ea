"""The ISO on a USB stick: the pairs of firmware and controller that the boot tests leave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.images.format import Bus
from photonbuild.machines.hardware import Firmware
from photonbuild.store import Store
from tests.support.usb import boot_from_stick

pytestmark = pytest.mark.matrix


@pytest.mark.parametrize(("firmware", "bus"), [("bios", "usb-ehci"), ("bios", "usb-xhci"), ("uefi", "usb-ehci")])
def test_the_iso_boots_from_a_usb_stick(
    iso: Path, store: Store, machine_seed: Path, firmware: Firmware, bus: Bus
) -> None:
    boot_from_stick(iso, store, machine_seed, firmware, bus)
