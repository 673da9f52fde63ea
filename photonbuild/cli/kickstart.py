"""The commands around kickstart files: check, schema, reference. They need no checkout. No logic here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from photonbuild.errors import PhotonbuildError
from photonbuild.installer.kickstart import jsonschema, parse, reference
from photonbuild.log import Reporter

output_option = click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")


@click.group("kickstart")
def kickstart_group() -> None:
    """Kickstart files of the installer."""


@kickstart_group.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
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


@kickstart_group.command("schema")
@output_option
def schema_command(output: Path | None) -> None:
    """JSON schema of a kickstart."""
    _write(json.dumps(jsonschema.jsonschema(), indent=1, ensure_ascii=False) + "\n", output)


@kickstart_group.command("reference")
@output_option
def reference_command(output: Path | None) -> None:
    """The documentation page, docs/use/kickstart.md."""
    _write(reference.reference(), output)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
