"""The commands about newer versions and their numbers. No logic here."""

from __future__ import annotations

import dataclasses

import click

from photonbuild.cli.options import SPEC_NAMES, answer, command
from photonbuild.errors import ConfigError
from photonbuild.pipeline import bump as bumping
from photonbuild.pipeline.build import chosen_specs
from photonbuild.pipeline.outdated import Standing, outdated
from photonbuild.pipeline.session import Session

ROW = "{:<20} {:<16} {:<16} {:<24} {:<24} {:<14} {}"


def _row(standing: Standing) -> str:
    refused = ", ".join(standing.refused[:3]) + (" …" if len(standing.refused) > 3 else "")
    cells = (standing.package, standing.version, standing.newest, standing.used, standing.fixes, standing.upstream)
    return ROW.format(*(cell or "-" for cell in cells), standing.problem or refused).rstrip()


@click.command("outdated")
@click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--behind", is_flag=True, help="Only packages that are behind what is obtainable.")
@command
def outdated_command(session: Session, packages: tuple[str, ...], form: str, behind: bool) -> None:
    """For each package: our version, the newest that its providers give, Debian's fixes for ours, upstream's newest."""
    names = chosen_specs(session, packages)
    found = [standing for standing in outdated(session, sorted(names)) if standing.is_behind or not behind]
    rows = [dataclasses.asdict(each) | {"behind": each.is_behind} for each in found]
    head = ROW.format("PACKAGE", "OURS", "OBTAINABLE", "FIXES IN USE", "FIXES OBTAINABLE", "UPSTREAM", "NOT GIVEN")
    answer(rows, head, *map(_row, found), as_json=form == "json")


@click.command("bump")
@click.argument("package", nargs=-1, shell_complete=SPEC_NAMES)
@click.option("--all", "everything", is_flag=True, help="Propose for every package. Changes nothing.")
@click.option("--rebuild", is_flag=True, help="Count a rebuild of these packages: the same version, built again.")
@click.option("--patches", multiple=True, metavar="PATTERN", help="Take Debian's patches of these names.")
@click.option("--reason", help="What the changelog says.")
@click.option("--dry-run", is_flag=True, help="Show the change; write nothing.")
@command
def bump_command(
    session: Session,
    package: tuple[str, ...],
    everything: bool,
    rebuild: bool,
    patches: tuple[str, ...],
    reason: str | None,
    dry_run: bool,
) -> None:
    """Raise a package to VERSION, or to the newest that is obtainable: PACKAGE [VERSION].

    Fetches and locks the sources, edits version, release and changelog, and shows the difference.
    """
    if everything + rebuild + bool(patches) > 1:
        raise ConfigError("--all, --rebuild and --patches exclude each other")
    if everything:
        if package:
            raise ConfigError("--all takes no package")
        proposals = bumping.propose_all(session)
    elif not package:
        raise ConfigError("which package?", hint="photonbuild outdated --behind lists those that are behind")
    elif rebuild:
        proposals = [bumping.rebuild(session, package, reason)]
    elif len(package) > 2:
        raise ConfigError("one package, and one version of it", hint="several packages: only with --rebuild")
    elif patches:
        proposals = [bumping.take_patches(session, package[0], patches, reason)]
    else:
        proposals = [bumping.to_version(session, package[0], package[1] if len(package) == 2 else None, reason)]
    for proposal in proposals:
        for note in proposal.notes:
            session.reporter.info(note)
    diffs = [proposal.diff() for proposal in proposals]
    answer({"diffs": diffs}, *(diff.removesuffix("\n") for diff in diffs if diff))
    if not (dry_run or everything):
        for proposal in proposals:
            proposal.write()
