"""The commands about packages and their sources, and what explains a build. No logic here."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from photonbuild.cli.graph import tree_options
from photonbuild.cli.options import (
    PROFILE_NAMES,
    SPEC_NAMES,
    answer,
    building,
    command,
    from_cache_only,
    recorded,
    without_session,
)
from photonbuild.errors import ConfigError
from photonbuild.files import read_sealed
from photonbuild.log import Reporter, clock
from photonbuild.packages.makespan import Workers
from photonbuild.paths import default_store
from photonbuild.pipeline import build as pipeline
from photonbuild.pipeline import estimate as estimates
from photonbuild.pipeline.graph import read, tell
from photonbuild.pipeline.plan import plan
from photonbuild.pipeline.session import Session
from photonbuild.pipeline.sources import fetch_sources, verify_sources
from photonbuild.pipeline.why import why
from photonbuild.sources import fetch as sources


class Numbers(click.ParamType[list[int]]):
    """Whole numbers from 1, with commas between them."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        words = str(value).split(",")
        if not all(word.isascii() and word.isdecimal() and 0 < int(word) <= MOST_WORKERS for word in words):
            self.fail(f"'{value}' is no number from 1 to {MOST_WORKERS}, nor several with commas between them")
        return [int(word) for word in words]


MOST_WORKERS = 10_000


@click.command("plan")
@click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
@click.option(
    "--profile",
    shell_complete=PROFILE_NAMES,
    default="default",
    show_default=True,
    help="Profile to plan when no package is named.",
)
@click.option("--workers", type=Numbers(), help="How long it would take on so many workers: 3, or several: 1,4,16.")
@click.option("--worker-cores", type=click.IntRange(1), default=1, show_default=True, help="Cores of each worker.")
@click.option("--shared-cores", type=click.FloatRange(0.1), help="Cores that all workers have together, if fewer.")
@click.option("--overhead", type=click.FloatRange(0), default=0.0, help="Seconds that each build takes besides.")
@click.option("--cold", is_flag=True, help="With --workers: as if nothing were built yet.")
@tree_options
@command
def plan_command(
    session: Session, packages: tuple[str, ...], profile: str, tree: Path | None, macros: tuple[Path, ...], **how: Any
) -> None:
    """Show what would be built, and why. Builds nothing.

    With --workers, an estimate of how long: from CPU seconds as last measured, what waits for what, and the sizes of
    files. With --specs it is of another tree, as if nothing of it were built.
    """
    if how["workers"]:
        _estimate(session, packages, profile, tree, macros, **how)
        return
    if tree or how["cold"]:
        raise ConfigError("--specs and --cold go with --workers")
    names = pipeline.chosen_specs(session, packages, profile)
    _, problems = session.buildable(names)
    steps = plan(session, names)
    rows = [
        {"spec": step.spec, "evr": step.evr, "state": step.state, "why": step.why, "cache": step.cache}
        for step in steps
    ]
    answer(rows, *(f"{step.state:<7} {step.spec} {step.evr}  {step.summary}" for step in steps))
    count = {state: sum(step.state == state for step in steps) for state in ("cached", "will", "may", "error")}
    blocked = f", {count['error']} cannot be built" if count["error"] else ""
    session.reporter.info(
        f"{count['cached']} cached, {count['will']} will be built, {count['may']} may be built{blocked}"
    )
    if problems:
        raise session.reporter.last_of(problems)


def _estimate(
    session: Session,
    packages: tuple[str, ...],
    profile: str,
    tree: Path | None,
    macros: tuple[Path, ...],
    *,
    workers: Sequence[int],
    worker_cores: int,
    shared_cores: float | None,
    overhead: float,
    cold: bool,
) -> None:
    asked = [Workers(count=count, cores=worker_cores, shared=shared_cores, overhead=overhead) for count in workers]
    if tree is not None:
        forest = read(session, tree, macros)
        tell(session, forest)
        found = estimates.estimate_tree(session, forest.graph, estimates.measured(session), asked)
    else:
        names = pipeline.chosen_specs(session, packages, profile)
        found = estimates.estimate(session, estimates.wanted(session, names, cold=cold), asked)
    rows = estimates.rows(found)
    lines = [
        f"{row['workers']:>7} workers  {clock(row['seconds']):>8}  {row['efficiency']:4.0%} of the cores used"
        + (f", down {row['down'] / 1e9:.2f} GB, up {row['up'] / 1e9:.2f} GB" if row["down"] else "")
        for row in rows
    ]
    path = estimates.path(found)
    lines += [f"the longest chain: {clock(sum(path.values()))}"]
    lines += [f"{clock(seconds):>8}  {name}" for name, seconds in path.items()]
    answer(
        {"workers": rows, "path": path, "unmeasured": list(found.unmeasured), "circles": list(found.circles)}, *lines
    )
    total = sum(job.cpu_seconds for job in found.jobs)
    session.reporter.info(f"{len(found.jobs)} packages, {clock(total)} of one core")
    if found.unmeasured:
        session.reporter.info(f"{len(found.unmeasured)} were never measured: the mean of those that were is taken")
    if found.circles:
        session.reporter.info(f"{len(found.circles)} need each other: an earlier build of one is taken for the other")


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
@from_cache_only
@command
@recorded
@building
def build_command(session: Session, packages: tuple[str, ...], profile: str, keep_going: bool) -> None:
    """Build packages (specs or package names), or all of a profile, with everything they need."""
    names = pipeline.chosen_specs(session, packages, profile)
    done = pipeline.build_packages(session, names, keep_going=keep_going, whole=names)
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
    answer({"files": fetch_sources(session, _selected(session, packages))})


@sources_group.command("verify")
@click.argument("packages", nargs=-1, shell_complete=SPEC_NAMES)
@command
def sources_verify(session: Session, packages: tuple[str, ...]) -> None:
    """Check the digests of all sources that the store holds."""
    count = verify_sources(session, _selected(session, packages))
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
