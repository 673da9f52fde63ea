"""The ISO on a USB stick in a machine that has no keyboard but a USB one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from photonbuild.images.format import Bus
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import BootDrive
from photonbuild.machines.hardware import Firmware, Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.verify import BOOT_TIMEOUT
from photonbuild.store import Store

CONTROLLERS: dict[Bus, str] = {"usb-ehci": "usb-ehci", "usb-xhci": "qemu-xhci"}
PROMPT_SECONDS = 20
TYPED = "typedonusb"


def wait_for_text(read: Callable[[], str], text: str) -> None:
    deadline = time.monotonic() + PROMPT_SECONDS
    while text not in (found := read()):
        assert time.monotonic() < deadline, found[-2000:]
        time.sleep(0.5)


def boot_from_stick(iso: Path, store: Store, seed: Path, firmware: Firmware, bus: Bus) -> None:
    """Both consoles ask for a login, and the local one shows what is typed; then the machine is shut down."""
    keyboard = ["-machine", "i8042=off", "-device", f"{CONTROLLERS[bus]},id=keys", "-device", "usb-kbd,bus=keys.0"]
    drive = BootDrive(file=iso, format="raw", bus=bus)
    accel = best_accel(seed, store.scratch)
    hardware = Hardware(boot_drive=drive, firmware=firmware, accel=accel, options=keyboard)
    with Machine(hardware, seed=seed, scratch=store.scratch) as machine:
        machine.wait_for_ssh(BOOT_TIMEOUT)
        state = machine.ssh("systemctl is-system-running --wait", check=False).stdout.strip()
        assert state == "running", machine.ssh("systemctl --failed --no-legend").stdout
        assert machine.ssh("lsblk -no TRAN $(findmnt -no SOURCE /run/initramfs/live/medium)").stdout.strip() == "usb"
        # The unit is active before its process has opened the console and printed the prompt.
        wait_for_text(lambda: machine.console.read_text(errors="replace"), "login:")
        assert "automatic login" not in machine.console.read_text(errors="replace")

        def screen() -> str:
            return machine.ssh("cat /dev/vcs1").stdout

        wait_for_text(screen, "login:")
        for key in TYPED:
            machine.qmp("send-key", keys=[{"type": "qcode", "data": key}])
        wait_for_text(screen, f"login: {TYPED}")
        machine.shut_down()
