"""Published images under test: where they are, every check of `photonbuild verify`, the end of a boot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.errors import VerifyError
from photonbuild.images.formats import FORMATS
from photonbuild.machines.hardware import Firmware
from photonbuild.machines.manifest import read_manifest
from photonbuild.machines.qemu import Machine
from photonbuild.machines.report import Boot, require, stage_table
from photonbuild.machines.verify import BOOT_TIMEOUT, verify
from photonbuild.store import Store

MACHINES = [name for name, found in FORMATS.items() if found.attachment]


def image_of(configuration: Config, name: str) -> Path:
    """The published image `name`; without it the test fails."""
    image = configuration.image(name)
    file = f"{configuration.distribution.prefix}{image.variant}{FORMATS[image.format].suffix}"
    path = configuration.stage_dir / "images" / file
    if not path.is_file():
        pytest.fail(f"{path} does not exist: make {name}", pytrace=False)
    return path


def verify_image(
    image: Path,
    configuration: Config,
    store: Store,
    seed: Path,
    firmware: Firmware,
    *,
    checks_of: Sequence[str] | None = None,
) -> Boot:
    """Boot the image once, print its stages, require every check, or those of the system and of the named runtimes."""
    report = verify(
        image,
        distribution=configuration.distribution,
        runtimes=[each for each in configuration.runtimes if checks_of is None or each.name in checks_of],
        seed=seed,
        scratch=store.scratch,
        firmwares=[firmware],
        manifest=read_manifest(image),
    )
    print()
    for row in stage_table(report):
        print("  " + "".join(cell.ljust(20) for cell in row))
    try:
        require(report)
    except VerifyError as error:
        pytest.fail(f"{error}\n{error.detail}", pytrace=False)
    return report.boots[0]


def wait_for_boot(machine: Machine) -> None:
    """Wait until everything has started: nothing has failed."""
    machine.wait_for_ssh(machine.elapsed() + BOOT_TIMEOUT)
    state = machine.ssh("systemctl is-system-running --wait", timeout=BOOT_TIMEOUT, check=False).stdout.strip()
    assert state == "running", machine.ssh("systemctl --failed --no-legend; journalctl -b -p warning --no-pager").stdout
