"""The commands. No logic here: options in, pipeline called, answer out; errors become exit codes."""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from photonbuild import __version__
from photonbuild.cli import image as cli_image
from photonbuild.cli import kickstart as cli_kickstart
from photonbuild.cli import machine as cli_machine
from photonbuild.cli.pico import pico_command
from photonbuild.config.models import SEEDS
from photonbuild.errors import ConfigError, Interrupted, PhotonbuildError, StoreError
from photonbuild.log import Reporter
from photonbuild.paths import checkout, default_store
from photonbuild.pipeline import build as pipeline
from photonbuild.pipeline import doctor
from photonbuild.pipeline.configuration import SCHEMAS, load_config, schema
from photonbuild.pipeline.plan import plan
from photonbuild.pipeline.session import Session
from photonbuild.pipeline.why import why
from photonbuild.sandbox import process
from photonbuild.seeds import seed
from photonbuild.sources import fetch as sources
from photonbuild.store import Store


def open_session(options: dict[str, Any], reporter: Reporter) -> Session:
    root = Path(options["root"]).resolve() if options["root"] else checkout()
    config = load_config(root, user_file=Path(options["config"]) if options["config"] else None)
    config = config.override(jobs=options["jobs"])
    store = Store.open(Path(options["store"]) if options["store"] else config.user.store_path or default_store())
    jobs = config.user.jobs or len(os.sched_getaffinity(0))
    return Session(
        config=config, store=store, reporter=reporter, jobs=jobs, offline=options["offline"], locked=options["locked"]
    )


SHARED = (
    click.option("--root", type=click.Path(exists=True, file_okay=False), help="Checkout to work on."),
    click.option("--store", type=click.Path(file_okay=False), help="Store to use instead of $PHOTONBUILD_STORE."),
    click.option("--config", type=click.Path(dir_okay=False), help="User configuration to read."),
    click.option("--jobs", "-j", type=int, help="Cores to use (default: all)."),
    click.option("--offline", is_flag=True, help="Fetch nothing: fail if something is not in the store."),
    click.option("--locked", is_flag=True, help="Refuse seed packages other than the locked ones."),
    click.option("--json", "events", is_flag=True, help="Progress as JSON events on standard error."),
    click.option("-v", "--verbose", is_flag=True, help="Say more."),
)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options and a Session, and turn errors into messages and exit codes."""

    @functools.wraps(function)
    def wrapper(**options: Any) -> None:
        reporter = Reporter(verbose=options.pop("verbose"), events=options.pop("events"))
        shared = {name: options.pop(name) for name in ("root", "store", "config", "jobs", "offline", "locked")}
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            function(open_session(shared, reporter), **options)
        except KeyboardInterrupt:
            process.end_all()
            reporter.error(Interrupted("interrupted", hint="run the same command again: what was built is kept"))
            sys.exit(Interrupted.exit_code)
        except PhotonbuildError as error:
            reporter.error(error)
            sys.exit(error.exit_code)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            place = error.filename2 or error.filename
            hint = "free some space there and run the same command again: what was built is kept"
            reporter.error(StoreError("no space left", where=str(place) if place else None, hint=hint))
            sys.exit(StoreError.exit_code)

    for option in reversed(SHARED):
        wrapper = option(wrapper)
    return wrapper


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="photonbuild")
def main() -> None:
    """Build a minimal container-host operating system from RPM specs, and boot it."""
    os.umask(0o022)


@main.command("plan")
@click.argument("packages", nargs=-1)
@click.option("--profile", default="default", show_default=True, help="Profile to plan when no package is named.")
@command
def plan_command(session: Session, packages: tuple[str, ...], profile: str) -> None:
    """Show what would be built, and why. Builds nothing."""
    if packages:
        names = frozenset(session.spec(name).name for name in packages)
    else:
        names = pipeline.profile_specs(session, session.config.profile(profile))
    steps = plan(session, names)
    for step in steps:
        click.echo(f"{step.state:<7} {step.spec} {step.evr}  {step.summary}")
    count = {state: sum(step.state == state for step in steps) for state in ("cached", "will", "may")}
    session.reporter.info(f"{count['cached']} cached, {count['will']} will be built, {count['may']} may be built")


@main.command("why")
@click.argument("name")
@command
def why_command(session: Session, name: str) -> None:
    """Show why a package, an image or a seed would be made again: each input that changed, from what to what.

    NAME may say which is meant: image:NAME, seed:NAME or package:NAME. Builds nothing.
    """
    answer = why(session, name)
    state = {"cached": "is in the store", "will": "will be built", "may": "may be built"}[answer.state]
    click.echo(f"{answer.kind} {answer.name} {state}")
    for reason in answer.reasons:
        click.echo(f"  {reason}")


@main.command("build")
@click.argument("packages", nargs=-1)
@click.option("--profile", default="default", show_default=True, help="Profile to build when no package is named.")
@click.option("--keep-going", "-k", is_flag=True, help="After a failure build what does not need the failed package.")
@command
def build_command(session: Session, packages: tuple[str, ...], profile: str, keep_going: bool) -> None:
    """Build packages (specs or package names), or all of a profile, with everything they need."""
    if packages:
        names = frozenset(session.spec(name).name for name in packages)
    else:
        names = pipeline.profile_specs(session, session.config.profile(profile))
    done = pipeline.build_packages(session, names, keep_going=keep_going)
    for name in sorted(names):
        for package in done[name].packages:
            click.echo(package.path)


@main.command("shell")
@click.argument("package")
@command
def shell_command(session: Session, package: str) -> None:
    """Open a shell in the build root of a package; after a failed build, with what that build left."""
    box, failed = pipeline.failed_root(session, package)
    what = "as its last build left it" if failed else "with its sources in /build/SOURCES"
    session.reporter.info(f"build root of {package}, {what}; no network; exit to leave")
    process = box.popen(["bash", "-i"], cwd="/build", stdin=None, new_session=False)
    sys.exit(process.wait())


@main.group("sources")
def sources_group() -> None:
    """Sources of the packages."""


def _selected(session: Session, packages: tuple[str, ...]) -> list[Path]:
    folders = sorted(path for path in session.config.specs_dir.iterdir() if (path / "sources.yaml").exists())
    names = {folder.name: folder for folder in folders}
    for package in packages:
        if package not in names:
            raise ConfigError(f"specs/{package} has no sources.yaml")
    return [names[package] for package in packages] or folders


@sources_group.command("lock")
@click.argument("packages", nargs=-1)
@command
def sources_lock(session: Session, packages: tuple[str, ...]) -> None:
    """Fetch from the first provider and write size and sha512 into sources.yaml."""
    for folder in _selected(session, packages):
        changed = sources.lock(session.fetcher, folder)
        click.echo(f"{folder.name}: {', '.join(changed) + ' locked anew' if changed else 'unchanged'}")


@sources_group.command("fetch")
@click.argument("packages", nargs=-1)
@command
def sources_fetch(session: Session, packages: tuple[str, ...]) -> None:
    """Bring every source into the store."""
    pipeline.fetch_sources(session, _selected(session, packages))


@sources_group.command("verify")
@click.argument("packages", nargs=-1)
@command
def sources_verify(session: Session, packages: tuple[str, ...]) -> None:
    """Check the digests of all sources that the store holds."""
    count = pipeline.verify_sources(session, _selected(session, packages))
    click.echo(f"{count} files in the store have the right sha512")


@main.group("seed")
def seed_group() -> None:
    """The roots of tools that build packages and run machines."""


NAMES = click.argument("names", nargs=-1, type=click.Choice(SEEDS))


@seed_group.command("lock")
@NAMES
@command
def seed_lock(session: Session, names: tuple[str, ...]) -> None:
    """Resolve the newest packages of the suite, build the seed from them, and write its lock."""
    for name in names or SEEDS:
        click.echo(seed.lock(session.config, session.store, name, session.reporter.warn))


@seed_group.command("build")
@NAMES
@command
def seed_build(session: Session, names: tuple[str, ...]) -> None:
    """Make the locked seed, unless the store has it."""
    for name in names or SEEDS:
        click.echo(session.frozen(name).root)


@main.command("doctor")
@command
def doctor_command(session: Session) -> None:
    """Check this machine: namespaces, sub-ids, programs, disk, memory, KVM."""
    findings = doctor.examine(session.store)
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.found}")
        if not finding.ok and finding.hint:
            click.echo(f"      hint: {finding.hint}")
    if not all(finding.ok for finding in findings):
        sys.exit(5)


@main.command("timings")
@click.option("--json", "as_json", is_flag=True, help="In the form of build/timings.json.")
def timings_command(as_json: bool) -> None:
    """CPU seconds per package as last measured on this machine."""
    path = default_store() / "timings.json"
    known: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if as_json:
        click.echo(json.dumps(known, indent=1, sort_keys=True))
        return
    seconds = {name: record["cpu_seconds"] for name, record in known.items()}
    for name in sorted(seconds, key=lambda name: -seconds[name]):
        click.echo(f"{seconds[name]:8.1f}  {name}")
    click.echo(f"{sum(seconds.values()):8.1f}  all {len(seconds)}")


@main.command("schema")
@click.argument("kind", metavar="KIND", type=click.Choice(sorted(SCHEMAS)))
def schema_command(kind: str) -> None:
    """JSON schema of a configuration file: distribution, seed, profile, FORMAT-image, sources, runtimes or user."""
    click.echo(json.dumps(schema(kind), indent=1))


cli_image.register(main, command)
cli_machine.register(main, command)
main.add_command(cli_kickstart.kickstart_group)
main.add_command(pico_command)

if __name__ == "__main__":
    main()
