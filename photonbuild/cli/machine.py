"""The commands that run an image: boot and verify. No logic here."""

from __future__ import annotations

from pathlib import Path

import click

from photonbuild.cli.options import answer, command
from photonbuild.errors import VerifyError
from photonbuild.files import write_json, write_text
from photonbuild.images.formats import FORMATS
from photonbuild.machines import console
from photonbuild.machines.clouds import CLOUDS
from photonbuild.machines.hardware import FIRMWARES
from photonbuild.machines.manifest import read_manifest
from photonbuild.machines.report import require, stage_table
from photonbuild.pipeline.session import Session
from photonbuild.pipeline.verify_image import verify_image
from photonbuild.report.junit import junit
from photonbuild.report.record import report_data

image_argument = click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
as_disk_option = click.option("--as-disk", is_flag=True, help="Plug an ISO in as a USB stick.")
platform_option = click.option(
    "--platform", type=click.Choice(["none", *CLOUDS]), help="Play this cloud; by default the one of the manifest."
)


@click.command("boot")
@image_argument
@click.option("--firmware", type=click.Choice(FIRMWARES), default="bios", show_default=True)
@click.option("--memory", type=int, default=2048, show_default=True, help="Memory in MiB.")
@as_disk_option
@platform_option
@command
def boot_command(
    session: Session, image: Path, firmware: str, memory: int, as_disk: bool, platform: str | None
) -> None:
    """Run an image with its console in this terminal. Nothing is written to it."""
    if image.suffix == FORMATS["pico"].suffix:
        raise VerifyError("this kernel starts nothing but containers", hint="pico run IMAGE")
    manifest = read_manifest(image, platform=platform)
    console.attach(
        image,
        seed=session.machine_seed.root,
        scratch=session.store.scratch,
        firmware="uefi" if firmware == "uefi" else "bios",
        memory=memory,
        as_disk=as_disk,
        platform=manifest.platform,
        user=session.config.distribution.id,
        say=session.reporter.info,
    )


@click.command("verify")
@image_argument
@click.option("--firmware", type=click.Choice([*FIRMWARES, "both"]), default="both", show_default=True)
@as_disk_option
@platform_option
@click.option(
    "--check",
    "own_checks",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Then run this file of pytest-testinfra as well.",
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write all results as JSON.")
@click.option("--junit", "xml", type=click.Path(dir_okay=False, path_type=Path), help="Write all results as JUnit XML.")
@command
def verify_command(
    session: Session,
    image: Path,
    firmware: str,
    as_disk: bool,
    platform: str | None,
    own_checks: tuple[Path, ...],
    report: Path | None,
    xml: Path | None,
) -> None:
    """Boot an image with BIOS and UEFI, check it from inside and outside, and time it; also the kernel of pico."""
    firmwares = [name for name in FIRMWARES if firmware in (name, "both")]
    try:
        result = verify_image(
            session, image, firmwares=firmwares, as_disk=as_disk, platform=platform, own_checks=own_checks
        )
    except VerifyError as error:
        if xml is not None:
            write_text(xml, junit([], {image.name: error}))
        raise
    if report is not None:
        write_json(report, report_data(result))
    if xml is not None:
        write_text(xml, junit([result], {}))
    width = max(len(row[0]) for row in stage_table(result)) + 2
    rows = (first.ljust(width) + "".join(cell.rjust(14) for cell in rest) for first, *rest in stage_table(result))
    answer(report_data(result), *rows)
    require(result)
