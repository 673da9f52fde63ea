"""The commands about packages and their sources, and what explains a build. No logic here."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from photonbuild.cli.options import PROFILE_NAMES, SPEC_NAMES, answer, building, command, recorded, without_session
from photonbuild.errors import ConfigError
from photonbuild.files import read_sealed
from photonbuild.log import Reporter
from photonbuild.paths import default_store
from photonbuild.pipeline import build as pipeline
from photonbuild.pipeline.plan import plan
from photonbuild.pipeline.session import Session
from photonbuild.pipeline.why import why
from photonbuild.sources import fetch as sources


@click.command("plan")
@click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
@click.option(
    "--profile",
    shell_complete=PROFILE_NAMES,
    default="default",
    show_default=True,
    help="Profile to plan when no package is named.",
)
@command
def plan_command(session: Session, packages: tuple[str, ...], profile: str) -> None:
    """Show what would be built, and why. Builds nothing."""
    names = pipeline.chosen_specs(session, packages, profile)
    _, problems = session.buildable(names)
    steps = plan(session, names)
    rows = [{"spec": step.spec, "evr": step.evr, "state": step.state, "why": step.why} for step in steps]
    answer(rows, *(f"{step.state:<7} {step.spec} {step.evr}  {step.summary}" for step in steps))
    count = {state: sum(step.state == state for step in steps) for state in ("cached", "will", "may", "error")}
    blocked = f", {count['error']} cannot be built" if count["error"] else ""
    session.reporter.info(
        f"{count['cached']} cached, {count['will']} will be built, {count['may']} may be built{blocked}"
    )
    if problems:
        raise pipeline.first_error(session, problems)


@click.command("why")
@click.argument("name", shell_complete=SPEC_NAMES)
@command
def why_command(session: Session, name: str) -> None:
    """Show why a package, an image or a seed would be made again: each input that changed, from what to what.

    NAME may say which is meant: image:NAME, seed:NAME or package:NAME. Builds nothing.
    """
    found = why(session, name)
    state = {"cached": "is in the store", "will": "will be built", "may": "may be built", "error": "cannot be built"}[
        found.state
    ]
    answer(
        dataclasses.asdict(found), f"{found.kind} {found.name} {state}", *(f"  {reason}" for reason in found.reasons)
    )


@click.command("build")
@click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
@click.option(
    "--profile",
    shell_complete=PROFILE_NAMES,
    default="default",
    show_default=True,
    help="Profile to build when no package is named.",
)
@click.option("--keep-going", "-k", is_flag=True, help="After a failure build what does not need the failed package.")
@command
@recorded
@building
def build_command(session: Session, packages: tuple[str, ...], profile: str, keep_going: bool) -> None:
    """Build packages (specs or package names), or all of a profile, with everything they need."""
    names = pipeline.chosen_specs(session, packages, profile)
    done = pipeline.build_packages(session, names, keep_going=keep_going)
    paths = {name: [str(package.path) for package in done[name].packages] for name in sorted(names)}
    answer(paths, *(path for found in paths.values() for path in found))


@click.command("shell")
@click.argument("package", shell_complete=SPEC_NAMES)
@command
def shell_command(session: Session, package: str) -> None:
    """Open a shell in the build root of a package; after a failed build, with what that build left."""
    box, failed = pipeline.failed_root(session, package)
    what = "as its last build left it" if failed else "with its sources in /build/SOURCES"
    session.reporter.info(f"build root of {package}, {what}; no network; exit to leave")
    process = box.popen(["bash", "-i"], cwd="/build", stdin=None, new_session=False)
    sys.exit(process.wait())


@click.group("sources")
def sources_group() -> None:
    """Sources of the packages."""


def _selected(session: Session, packages: tuple[str, ...]) -> list[Path]:
    specs = session.config.roots.entries("specs")
    names = {name: folder for name, folder in specs.items() if (folder / "sources.yaml").exists()}
    for package in packages:
        if package not in names:
            raise ConfigError(f"specs/{package} has no sources.yaml")
    return [names[package] for package in packages] or list(names.values())


@sources_group.command("lock")
@click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
@command
def sources_lock(session: Session, packages: tuple[str, ...]) -> None:
    """Fetch from the first provider and write size and sha512 into sources.yaml."""
    locked = {folder.name: sources.lock(session.fetcher, folder) for folder in _selected(session, packages)}
    said = {name: f"{', '.join(changed)} locked anew" if changed else "unchanged" for name, changed in locked.items()}
    answer(locked, *(f"{name}: {text}" for name, text in said.items()))


@sources_group.command("fetch")
@click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
@command
def sources_fetch(session: Session, packages: tuple[str, ...]) -> None:
    """Bring every source into the store."""
    answer({"files": pipeline.fetch_sources(session, _selected(session, packages))})


@sources_group.command("verify")
@click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
@command
def sources_verify(session: Session, packages: tuple[str, ...]) -> None:
    """Check the digests of all sources that the store holds."""
    count = pipeline.verify_sources(session, _selected(session, packages))
    answer({"files": count}, f"{count} files in the store have the right sha512")


@click.command("timings")
@click.option("--store", type=click.Path(file_okay=False), help="Store to use instead of $PHOTONBUILD_STORE.")
@without_session
def timings_command(reporter: Reporter, store: str | None) -> None:
    """CPU seconds per package as last measured on this machine; with --json in the form of build/timings.json."""
    path = (Path(store) if store else default_store()) / "timings.json"
    known: dict[str, dict[str, float]] = read_sealed(path) or {}
    seconds = {name: record["cpu_seconds"] for name, record in known.items()}
    rows = [f"{seconds[name]:8.1f}  {name}" for name in sorted(seconds, key=lambda name: -seconds[name])]
    answer(known, *rows, f"{sum(seconds.values()):8.1f}  all {len(seconds)}")
