"""An image of any format is verified: booted with each firmware, or as the kernel that containers run on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from photonbuild.events import Verified
from photonbuild.images.formats import FORMATS
from photonbuild.machines import verify
from photonbuild.machines.hardware import FIRMWARES, Firmware
from photonbuild.machines.manifest import read_manifest
from photonbuild.machines.report import Report
from photonbuild.pipeline import verify_pico
from photonbuild.pipeline.session import Session
from photonbuild.report.record import keep_verification


def can_be_verified(name: str) -> bool:
    """Does an image of this format run as a machine, or machines on it?"""
    return name == "pico" or FORMATS[name].attachment is not None


def verify_image(
    session: Session,
    image: Path,
    *,
    firmwares: Sequence[Firmware] = FIRMWARES,
    as_disk: bool = False,
    platform: str | None = None,
    own_checks: Sequence[Path] = (),
) -> Report:
    """Verify an image, then by files of the user's own, and keep the results for `photonbuild report`.

    A failed check is in the report. Raises VerifyError, PicoError.
    """
    started = time.monotonic()
    if image.suffix == FORMATS["pico"].suffix:
        report = verify_pico.verify(image, session, session.reporter.info)
    else:
        report = verify.verify(
            image,
            distribution=session.config.distribution,
            runtimes=session.config.runtimes,
            seed=session.machine_seed.root,
            scratch=session.store.scratch,
            firmwares=firmwares,
            as_disk=as_disk,
            manifest=read_manifest(image, platform=platform),
            own_checks=own_checks,
            progress=session.reporter.info,
        )
    keep_verification(session.config.stage_dir, report)
    count, failed = sum(len(boot.checks) for boot in report.boots), len(report.failed)
    seconds = round(time.monotonic() - started, 1)
    session.reporter.event(Verified(file=image.name, passed=count - failed, failed=failed, seconds=seconds))
    return report
