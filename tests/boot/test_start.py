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
# Until the kernel starts, where that limit was measured: a machine whose firmware takes longer has as much more time.
KERNEL_SECONDS = 5.0


def test_docker_is_ready_in_time(iso: Path, configuration: Config, store: Store, machine_seed: Path) -> None:
    """A slow boot is judged by a second one."""
    found: list[float] = []
    while len(found) < 2 and min(found, default=BOOT_TIMEOUT) > DOCKER_READY_SECONDS:
        with boot_drive(iso) as drive:
            hardware = Hardware(boot_drive=drive, accel=best_accel(machine_seed, store.scratch))
            with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
                machine.wait_for_ssh(BOOT_TIMEOUT)
                stages, _ = measure(machine, configuration.runtimes)
                print(f"\ndocker after {stages['docker']:.1f} s, the kernel after {stages['kernel started']:.1f} s")
                found.append(stages["docker"] / max(1.0, stages["kernel started"] / KERNEL_SECONDS))
    assert min(found) <= DOCKER_READY_SECONDS, found
