"""How long the ISO takes until Docker is ready. Run by itself (`make start`): what else runs would be measured, too."""

from __future__ import annotations

import shlex
from pathlib import Path
from statistics import median

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
# On a machine that is slower, or just now is: so many times what a loop takes in the guest on both processors, which
# was 4 to 8 s where Docker was ready after 42.
DOCKER_READY_LOOPS = 10.0
LOOP = """TIMEFORMAT=%R
time { for n in 1 2; do bash -c 'for ((i = 0; i < 100000; i++)); do :; done' & done; wait; }"""


def test_docker_is_ready_in_time(iso: Path, configuration: Config, store: Store, machine_seed: Path) -> None:
    """A slow boot is judged by a second one."""
    found: list[float] = []
    while len(found) < 2 and min(found, default=BOOT_TIMEOUT) > DOCKER_READY_SECONDS:
        with boot_drive(iso) as drive:
            hardware = Hardware(boot_drive=drive, accel=best_accel(machine_seed, store.scratch))
            with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
                machine.wait_for_ssh(BOOT_TIMEOUT)
                stages, _ = measure(machine, configuration.runtimes)
                loops = [float(machine.ssh(f"bash -c {shlex.quote(LOOP)} 2>&1").stdout) for _ in range(3)]
                print(f"\ndocker after {stages['docker']:.1f} s, the loop in {loops} s")
                slower = max(1.0, median(loops) * DOCKER_READY_LOOPS / DOCKER_READY_SECONDS)
                found.append(stages["docker"] / slower)
    assert min(found) <= DOCKER_READY_SECONDS, found
