"""The commands that run an image: boot and verify. No logic here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from photonbuild.errors import VerifyError
from photonbuild.machines import console, verify
from photonbuild.machines.clouds import CLOUDS
from photonbuild.machines.hardware import FIRMWARES
from photonbuild.machines.manifest import read_manifest
from photonbuild.machines.report import require, stage_table
from photonbuild.pipeline.session import Session
from pico import verify as pico_verify

KERNEL = ".vmlinux"  # of pico machines
IMAGE = click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
AS_DISK = click.option("--as-disk", is_flag=True, help="Plug an ISO in as a disk, as a USB stick would be.")

PLATFORM = click.option(
    "--platform", type=click.Choice(["none", *CLOUDS]), help="Play this cloud; by default the one of the manifest."
)


def register(main: click.Group, command: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """Add both commands to `main`; `command` is the decorator that turns the shared options into a Session."""
    main.add_command(click.command("boot")(_with(BOOT, command(boot_command))))
    main.add_command(click.command("verify")(_with(VERIFY, command(verify_command))))


def boot_command(
    session: Session, image: Path, firmware: str, memory: int, as_disk: bool, platform: str | None
) -> None:
    """Run an image with its console in this terminal. Nothing is written to it."""
    if image.suffix == KERNEL:
        raise VerifyError("this kernel starts nothing but containers", hint="photonbuild pico run IMAGE")
    described = read_manifest(image, platform=platform)
    console.attach(
        image,
        seed=session.machine_seed.root,
        scratch=session.store.scratch,
        firmware="uefi" if firmware == "uefi" else "bios",
        memory=memory,
        as_disk=as_disk,
        platform=described.platform,
        user=session.config.distribution.id,
        say=session.reporter.info,
    )


def verify_command(
    session: Session, image: Path, firmware: str, as_disk: bool, platform: str | None, report: Path | None
) -> None:
    """Boot an image with BIOS and UEFI, check it from inside and outside, and time it; also the kernel of pico."""
    if image.suffix == KERNEL:
        result = pico_verify.verify(image, session, session.reporter.info)
    else:
        result = verify.verify(
            image,
            distribution=session.config.distribution,
            runtimes=session.config.runtimes,
            seed=session.machine_seed.root,
            scratch=session.store.scratch,
            firmwares=[name for name in FIRMWARES if firmware in (name, "both")],
            as_disk=as_disk,
            manifest=read_manifest(image, platform=platform),
            progress=session.reporter.info,
        )
    if report is not None:
        report.write_text(json.dumps(dataclasses.asdict(result), indent=1, default=str) + "\n", encoding="utf-8")
    width = max(len(row[0]) for row in stage_table(result)) + 2
    for first, *rest in stage_table(result):
        click.echo(first.ljust(width) + "".join(cell.rjust(14) for cell in rest))
    require(result)


Decorator = Callable[[Any], Any]
BOOT: tuple[Decorator, ...] = (
    IMAGE,
    click.option("--firmware", type=click.Choice(FIRMWARES), default="bios", show_default=True),
    click.option("--memory", type=int, default=2048, show_default=True, help="Memory in MiB."),
    AS_DISK,
    PLATFORM,
)
VERIFY: tuple[Decorator, ...] = (
    IMAGE,
    click.option("--firmware", type=click.Choice([*FIRMWARES, "both"]), default="both", show_default=True),
    AS_DISK,
    PLATFORM,
    click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write all results as JSON."),
)


def _with(decorators: tuple[Decorator, ...], function: Any) -> Any:
    for decorator in reversed(decorators):
        function = decorator(function)
    return function
