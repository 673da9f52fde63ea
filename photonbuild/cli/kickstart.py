"""The commands around kickstart files: check, explain, schema, reference. They need no checkout. No logic here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from photonbuild.cli.options import answer, without_session
from photonbuild.errors import PhotonbuildError
from photonbuild.installer.errors import MachineError
from photonbuild.installer.explain import explain
from photonbuild.installer.kickstart import jsonschema, parse, reference
from photonbuild.installer.kickstart.variables import parameters
from photonbuild.log import Reporter

output_option = click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")


@click.group("kickstart")
def kickstart_group() -> None:
    """Kickstart files of the installer."""


param_option = click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Value for !param NAME.")


@kickstart_group.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@param_option
@without_session
def check_command(reporter: Reporter, files: tuple[Path, ...], params: tuple[str, ...]) -> None:
    """Check files; every mistake is named with its line, and so is what a key does not do here."""
    code, good = 0, []
    given = parameters(params, "--param")
    for path in files:
        try:
            found = parse.load(path, params=given)
        except PhotonbuildError as error:
            reporter.error(error)
            code = error.exit_code
            continue
        for note in found.notes:
            reporter.info(f"note: {note}")
        for reason in found.refusals:
            reporter.warn(f"{reason}; an installation stops for this before anything is written")
        good.append(str(path))
    answer({"good": good}, *(f"{path}: ok" for path in good))
    sys.exit(code)


@kickstart_group.command("explain")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@param_option
@without_session
def explain_command(reporter: Reporter, file: Path, params: tuple[str, ...]) -> None:
    """What a file would do to which disk, in words; 5 if an installation would stop for something in it."""
    found = parse.load(file, params=parameters(params, "--param"))
    text = explain(found)
    answer({"explanation": text.splitlines(), "refusals": list(found.refusals)}, *text.splitlines())
    sys.exit(MachineError.exit_code if found.refusals else 0)


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
