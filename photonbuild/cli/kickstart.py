"""The commands around kickstart files: check, schema, reference. They need no checkout. No logic here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from photonbuild.cli.options import answer, without_session
from photonbuild.errors import PhotonbuildError
from photonbuild.installer.kickstart import jsonschema, parse, reference
from photonbuild.log import Reporter

output_option = click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")


@click.group("kickstart")
def kickstart_group() -> None:
    """Kickstart files of the installer."""


@kickstart_group.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@without_session
def check_command(reporter: Reporter, files: tuple[Path, ...]) -> None:
    """Check files; every mistake is named with its line."""
    code, good = 0, []
    for path in files:
        try:
            parse.load(path)
        except PhotonbuildError as error:
            reporter.error(error)
            code = error.exit_code
        else:
            good.append(str(path))
    answer({"good": good}, *(f"{path}: ok" for path in good))
    sys.exit(code)


@kickstart_group.command("schema")
@output_option
@without_session
def schema_command(reporter: Reporter, output: Path | None) -> None:
    """JSON schema of a kickstart."""
    schema = jsonschema.jsonschema()
    _write(schema, json.dumps(schema, indent=1, ensure_ascii=False) + "\n", output)


@kickstart_group.command("reference")
@output_option
@without_session
def reference_command(reporter: Reporter, output: Path | None) -> None:
    """The documentation page, docs/use/kickstart.md."""
    text = reference.reference()
    _write({"page": text}, text, output)


def _write(data: object, text: str, output: Path | None) -> None:
    if output is None:
        answer(data, text.removesuffix("\n"))
    else:
        output.write_text(text, encoding="utf-8")
