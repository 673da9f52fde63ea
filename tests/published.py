"""Published images under test: where they are, and every check of `photonbuild verify` in their cloud's own way in."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config import Config
from photonbuild.media import describe
from photonbuild.qemu import Firmware
from photonbuild.store import Store
from photonbuild.verify import Boot, require, stage_table, verify

SUFFIXES = {
    "iso": ".iso", "raw": ".raw", "qcow2": ".qcow2", "ami": ".raw", "gce": ".tar.gz", "azure": ".vhd", "ova": ".ova"
}  # fmt: skip


def image_of(configuration: Config, name: str) -> Path:
    """The published image `name`; without it the test fails."""
    variant = configuration.image(name).variant
    file = f"{configuration.distribution.prefix}{variant}{SUFFIXES[name]}"
    path = configuration.stage_dir / "images" / file
    if not path.is_file():
        pytest.fail(f"{path} does not exist: make {name}", pytrace=False)
    return path


def judged(
    image: Path, configuration: Config, store: Store, seed: Path, firmware: Firmware, *, platform: str | None = None
) -> Boot:
    """Boot the image once, print its stages, and require every check. `platform` as `photonbuild.media.describe`."""
    report = verify(
        image,
        distribution=configuration.distribution,
        runtimes=configuration.runtimes,
        seed=seed,
        scratch=store.scratch,
        firmwares=[firmware],
        description=describe(image, platform=platform),
    )
    print()
    for row in stage_table(report):
        print("  " + "".join(cell.ljust(20) for cell in row))
    require(report)
    return report.boots[0]
