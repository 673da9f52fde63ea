"""Every image that is a machine, with both kinds of firmware: every check of `photonbuild verify`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.machines.hardware import FIRMWARES, Firmware
from photonbuild.store import Store
from tests.support.published import MACHINES, image_of, verify_image

pytestmark = pytest.mark.matrix


@pytest.mark.parametrize("firmware", FIRMWARES)
@pytest.mark.parametrize("name", MACHINES)
def test_every_check(
    name: str,
    firmware: Firmware,
    configuration: Config,
    store: Store,
    machine_seed: Path,
    record_property: Callable[[str, object], None],
) -> None:
    boot = verify_image(image_of(configuration, name), configuration, store, machine_seed, firmware)
    assert set(boot.stages) >= {runtime.name for runtime in configuration.runtimes}
    ready = ", ".join(f"{runtime.name} {boot.stages[runtime.name]:.1f} s" for runtime in configuration.runtimes)
    checks = f"{len(boot.checks) - len(boot.failed)} of {len(boot.checks)} checks"
    record_property("boot", f"{name:<8}{firmware:<6}{checks}; {ready}")
