"""The commands around kickstart files: check, schema, reference. They need no checkout. No logic here."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from photonbuild.errors import PhotonbuildError
from photonbuild.installer.kickstart import jsonschema, parse, reference
from photonbuild.log import Reporter

FILES = click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
OUTPUT = click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")


@click.group("kickstart")
def kickstart_group() -> None:
    """Kickstart files of the installer."""


@kickstart_group.command("check")
@FILES
def check_command(files: tuple[Path, ...]) -> None:
    """Check files; every mistake is named with its line."""
    reporter, code = Reporter(), 0
    for path in files:
        try:
            parse.load(path)
        except PhotonbuildError as error:
            reporter.error(error)
            code = error.exit_code
        else:
            click.echo(f"{path}: ok")
    sys.exit(code)


def _printed(make: Callable[[], str]) -> Callable[..., Any]:
    @functools.wraps(make)
    def wrapper(output: Path | None) -> None:
        if output is None:
            click.echo(make(), nl=False)
        else:
            output.write_text(make(), encoding="utf-8")

    return OUTPUT(wrapper)


@kickstart_group.command("schema")
@_printed
def schema_command() -> str:
    """JSON schema of a kickstart."""
    return json.dumps(jsonschema.jsonschema(), indent=1, ensure_ascii=False) + "\n"


@kickstart_group.command("reference")
@_printed
def reference_command() -> str:
    """The documentation page, docs/kickstart.md."""
    return reference.reference()
