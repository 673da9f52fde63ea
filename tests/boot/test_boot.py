"""The ISO as a machine: every check of `photonbuild verify`, with both kinds of firmware, as CD and as disk."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import BootDrive
from photonbuild.machines.hardware import FIRMWARES, Firmware, Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.report import Boot
from photonbuild.machines.verify import BOOT_TIMEOUT
from photonbuild.store import Store
from tests.support.published import verify_image

pytestmark = pytest.mark.boot

DOCKER_READY_SECONDS = 25
IDLE_MEMORY_MB = 350
PROMPT_SECONDS = 20


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_every_check(
    iso: Path,
    configuration: Config,
    store: Store,
    machine_seed: Path,
    firmware: Firmware,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def boot() -> Boot:
        with capsys.disabled():
            return verify_image(iso, configuration, store, machine_seed, firmware)

    first = boot()
    for runtime in configuration.runtimes:
        assert runtime.name in first.stages, f"{runtime.package} is not in the image"
    assert first.memory_used <= IDLE_MEMORY_MB * 1_000_000
    # What the image can do, not what else the machine is doing: a slow boot is judged by a second one.
    if first.stages["docker"] > DOCKER_READY_SECONDS:
        assert boot().stages["docker"] <= DOCKER_READY_SECONDS


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_the_iso_boots_as_a_disk(iso: Path, store: Store, machine_seed: Path, firmware: Firmware) -> None:
    """As from a USB stick; and the console that every machine has asks for a login."""
    accel = best_accel(machine_seed, store.scratch)
    hardware = Hardware(boot_drive=BootDrive(file=iso, format="raw"), firmware=firmware, accel=accel)
    with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
        machine.wait_for_ssh(BOOT_TIMEOUT)
        state = machine.ssh("systemctl is-system-running --wait", check=False).stdout.strip()
        assert state == "running", machine.ssh("systemctl --failed --no-legend").stdout
        # The unit is active before its process has opened the console and printed the prompt.
        deadline = time.monotonic() + PROMPT_SECONDS
        while "login:" not in (text := machine.console.read_text(errors="replace")):
            assert time.monotonic() < deadline, text[-2000:]
            time.sleep(0.5)
        assert "automatic login" not in text
        machine.shut_down()
