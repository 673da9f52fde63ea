"""How long the ISO takes until Docker is ready. Run by itself (`make start`): what else runs would be measured, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.verify import BOOT_TIMEOUT, measure
from photonbuild.store import Store

pytestmark = pytest.mark.boot

DOCKER_READY_SECONDS = 25


def test_docker_is_ready_in_time(iso: Path, configuration: Config, store: Store, machine_seed: Path) -> None:
    """A slow boot is judged by a second one."""
    found: list[float] = []
    while len(found) < 2 and min(found, default=BOOT_TIMEOUT) > DOCKER_READY_SECONDS:
        with boot_drive(iso) as drive:
            hardware = Hardware(boot_drive=drive, accel=best_accel(machine_seed, store.scratch))
            with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
                machine.wait_for_ssh(BOOT_TIMEOUT)
                found.append(measure(machine, configuration.runtimes)[0]["docker"])
    assert min(found) <= DOCKER_READY_SECONDS, found
