"""The disk image as a machine, set up from a NoCloud seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.store import Store
from tests.support.published import image_of, verify_image

pytestmark = pytest.mark.boot


def test_the_system_with_a_nocloud_seed(
    configuration: Config, store: Store, machine_seed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What differs from the ISO: the root on a disk, and cloud-init. The matrix has every check."""
    with capsys.disabled():
        image = image_of(configuration, "qcow2")
        boot = verify_image(image, configuration, store, machine_seed, "uefi", checks_of=[])
    assert {check.name.partition(":")[0] for check in boot.checks} == {"system", "cloud"}
