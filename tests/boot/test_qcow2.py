"""The disk image as a machine: set up from a NoCloud seed, with every check of `photonbuild verify`."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.store import Store
from tests.support.published import image_of, verify_image

pytestmark = pytest.mark.boot


def test_every_check_with_a_nocloud_seed(
    configuration: Config, store: Store, machine_seed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        boot = verify_image(image_of(configuration, "qcow2"), configuration, store, machine_seed, "uefi")
    assert any(check.name.startswith("cloud: ") for check in boot.checks)
    assert set(boot.stages) >= {runtime.name for runtime in configuration.runtimes}
