"""The installer's entry of the ISO: a kickstart on a CD, a blank disk, the restart, the installed system."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.verify import BOOT_TIMEOUT

from ..installs import Lab, finished, suite, up

pytestmark = pytest.mark.boot


def test_install_by_kickstart_and_restart(lab: Lab) -> None:
    """Nobody types anything: a disc labelled KICKSTART, the sample for it, and the CD is out when the machine restarts."""
    sample = (lab.configuration.root / "kickstarts/minimal.yaml").read_text(encoding="utf-8")
