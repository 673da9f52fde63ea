"""The commands for pipelines: everything in one go, and the page of what came of it. No logic here."""

from __future__ import annotations

import os
from pathlib import Path

import click

from photonbuild.cli.options import IMAGE_NAMES, answer, command, public_keys, recorded
from photonbuild.machines.hardware import FIRMWARES
from photonbuild.pipeline.ci import Pipeline, run_pipeline
from photonbuild.pipeline.report import write_report
from photonbuild.pipeline.session import Session


@click.command("report")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@command
def report_command(session: Session, output: Path | None) -> None:
    """Write one HTML page of the last build: timeline, what was built and why, images, boots (stage/report)."""
    path = write_report(session, output)
    answer({"page": str(path)}, os.path.relpath(path))


@click.command("ci")
@click.argument("images", nargs=-1, metavar="[IMAGE]...", shell_complete=IMAGE_NAMES)
@click.option("--firmware", type=click.Choice([*FIRMWARES, "both"]), default="both", show_default=True)
@click.option("--no-verify", is_flag=True, help="Boot nothing.")
@click.option(
    "--ssh-key",
    "keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public key that may log in as root (authorized_keys format).",
)
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Append the summary to this file.")
@command
@recorded
def ci_command(
    session: Session,
    images: tuple[str, ...],
    firmware: str,
    no_verify: bool,
    keys: tuple[Path, ...],
    summary: Path | None,
) -> None:
    """Plan, build, make images (all, unless some are named), verify them, and report: for pipelines.

    stage/report gets summary.md, junit.xml and index.html, also when something fails. Where GitHub Actions run this,
    the summary is on the page of the run as well.
    """
    lines = [line for path in keys for line in public_keys(path)]
    pipeline = Pipeline(
        session=session,
        images=images or tuple(sorted(session.config.images)),
        firmwares=[name for name in FIRMWARES if firmware in (name, "both")],
        verifies=not no_verify,
        keys=lines,
    )
    outcome = run_pipeline(pipeline)
    given = os.environ.get("GITHUB_STEP_SUMMARY")
    for path in filter(None, (summary, Path(given) if given else None)):
        with path.open("a", encoding="utf-8") as file:
            file.write(outcome.text)
    answer({name: str(path) for name, path in outcome.files.items()}, outcome.text.rstrip())
    if outcome.failure is not None:
        raise outcome.failure
