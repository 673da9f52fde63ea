"""The commands that show what was built and what images are. No logic here."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from photonbuild.cli.options import command
from photonbuild.packages.spec import printable
from photonbuild.pipeline.describe import as_yaml, description
from photonbuild.pipeline.imagediff import compare_images
from photonbuild.pipeline.logs import last_log
from photonbuild.pipeline.session import Session


@click.command("log")
@click.argument("name")
@click.option("--path", "only_path", is_flag=True, help="Say where the log is, not what it says.")
@command
def log_command(session: Session, name: str, only_path: bool) -> None:
    """Show the log of the last build of a package, or with image:NAME of the last making of an image."""
    found = last_log(session, name)
    if only_path:
        click.echo(found.path)
        return
    if session.reporter.events:
        text = found.path.read_text(encoding="utf-8", errors="replace")
        click.echo(json.dumps({**asdict(found), "path": str(found.path), "lines": text.splitlines()}, indent=1))
        return
    session.reporter.detail(f"{found.path}{': the build failed' if found.failed else ''}")
    with found.path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for line in lines:
            # What a build prints is not for a terminal to obey.
            click.echo(printable(line) if sys.stdout.isatty() else line, nl=False)


@click.command("show")
@click.argument("image")
@click.option("--profile", help="Profile to install in place of the image's own (build/profiles/NAME.yaml).")
@command
def show_command(session: Session, image: str, profile: str | None) -> None:
    """Show the description of an image with everything resolved, as YAML, or as JSON with --json. Builds nothing."""
    found = description(session, image, profile=profile)
    click.echo(json.dumps(found, indent=1) if session.reporter.events else as_yaml(found).rstrip("\n"))


@click.command("diff")
@click.argument("old")
@click.argument("new")
@command
def diff_command(session: Session, old: str, new: str) -> None:
    """Show what differs from image OLD to image NEW: packages, sizes, and the files that packages bring.

    Each is the name of an image, an image file with its manifest beside it, or a folder of the store that holds one.
    """
    found = compare_images(session, old, new)
    if session.reporter.events:
        click.echo(json.dumps(found.data(), indent=1))
        return
    for line in found.lines():
        click.echo(printable(line))
