"""What the commands share: options, arguments, and the session that they work in."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from photonbuild import __version__
from photonbuild.config.load import Config
from photonbuild.config.models import Remote
from photonbuild.errors import ConfigError, PhotonbuildError
from photonbuild.events import Run
from photonbuild.log import Reporter
from photonbuild.paths import checkout, default_store
from photonbuild.pipeline import change
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.projects.differences import notice
from photonbuild.report.record import RECORD
from photonbuild.store import Store

JSON = click.option(
    "--json",
    "events",
    is_flag=True,
    help="The answer as JSON on standard output, progress as JSON events on standard error.",
)
SHARED = (
    click.option("--root", type=click.Path(exists=True, file_okay=False), help="Checkout to work on."),
    click.option("--store", type=click.Path(file_okay=False), help="Store to use instead of $PHOTONBUILD_STORE."),
    click.option("--config", type=click.Path(dir_okay=False), help="User configuration to read."),
    click.option("--jobs", "-j", type=int, help="Cores to use (default: all)."),
    click.option("--offline", is_flag=True, help="Fetch nothing: fail if something is not in the store."),
    click.option("--locked", is_flag=True, help="Refuse seed packages other than the locked ones."),
    JSON,
    click.option("-v", "--verbose", is_flag=True, help="Say more."),
)


from_cache_only = click.option(
    "--from-cache-only", "only_cached", is_flag=True, help="Build nothing: fail if something is in no cache."
)


def names_of(pattern: str) -> Callable[..., list[str]]:
    """For a shell's completion: the names of the files of a checkout that the pattern finds."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        given = context.params.get("root")
        try:
            root = Path(given) if given else checkout()
        except PhotonbuildError:
            return []
        return sorted(path.stem for path in root.glob(pattern) if path.stem.startswith(incomplete))

    return complete


IMAGE_NAMES = names_of("build/images/*.yaml")
PROFILE_NAMES = names_of("build/profiles/*.yaml")
SPEC_NAMES = names_of("specs/*/*.spec")


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options, and a Session made of them as its first argument."""

    @functools.wraps(function)
    def wrapper(**options: Any) -> None:
        reporter = _reporter(verbose=options.pop("verbose"), events=options.pop("events"))
        shared = {name: options.pop(name) for name in ("root", "store", "config", "jobs", "offline", "locked")}
        signal.signal(signal.SIGTERM, _interrupt)
        session = open_session(shared, reporter)
        session.only_cached = options.pop("only_cached", False)
        reporter.event(Run(command=command_name(), version=__version__, jobs=session.jobs))
        with session.sending():
            function(session, **options)

    for option in reversed(SHARED):
        wrapper = option(wrapper)
    return wrapper


REMOTE = (
    click.option("--remote", metavar="ADDRESS", help="Build on this engine: grpcs://HOST:PORT; none: on this machine."),
    click.option("--remote-jobs", type=click.IntRange(1, 10_000), help="Builds asked for at once (64)."),
    click.option("--local-jobs", type=click.IntRange(0), help="Builds on this machine beside the engine's (0)."),
    click.option("--recheck", metavar="SHARE", help="Build this share here as well, and compare: 5% (0%)."),
)


def building(function: Callable[..., None]) -> Callable[..., None]:
    """Below `command`: options of a command that builds packages, which may be on other machines."""

    @functools.wraps(function)
    def wrapper(session: Session, **options: Any) -> None:
        names = ("remote", "remote_jobs", "local_jobs", "recheck")
        session.config = with_remote(session.config, **{name: options.pop(name) for name in names})
        function(session, **options)

    for option in reversed(REMOTE):
        wrapper = option(wrapper)
    return wrapper


def with_remote(
    config: Config, *, remote: str | None, remote_jobs: int | None, local_jobs: int | None, recheck: str | None
) -> Config:
    """The configuration with what the command line says of an engine. Raises ConfigError."""
    if remote == "none":
        return dataclasses.replace(config, user=config.user.model_copy(update={"remote": None}))
    given = {"address": remote, "jobs": remote_jobs, "local_jobs": local_jobs, "recheck": recheck}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        return config
    known = config.user.remote.model_dump() if config.user.remote else {}
    if "address" not in {**known, **changes}:
        raise ConfigError("no engine is named", hint="--remote grpcs://HOST:PORT, or remote: in your own settings")
    try:
        found = Remote.model_validate({**known, **changes})
    except ValueError:
        raise ConfigError(f"--recheck {recheck} is no share", hint="--recheck 5%") from None
    return dataclasses.replace(config, user=config.user.model_copy(update={"remote": found}))


def recorded(function: Callable[..., None]) -> Callable[..., None]:
    """Below `command`: the events of this command are kept for `photonbuild report`, however it ends."""

    @functools.wraps(function)
    def wrapper(session: Session, **options: Any) -> None:
        session.reporter.keep = session.config.stage_dir / RECORD
        function(session, **options)

    return wrapper


def without_session(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command that needs no checkout `--json`, and the Reporter as its first argument."""

    @functools.wraps(function)
    def wrapper(**options: Any) -> None:
        function(_reporter(events=options.pop("events")), **options)

    return JSON(wrapper)


def _reporter(*, verbose: bool = False, events: bool = False) -> Reporter:
    """It is the `obj` of click's root context: errors are told to it as well."""
    reporter = Reporter(verbose=verbose, events=events)
    click.get_current_context().find_root().obj = reporter
    return reporter


def command_name() -> str:
    """The words of the present command, without the program's."""
    return click.get_current_context().command_path.partition(" ")[2]


def answer(data: object, *lines: object, as_json: bool = False) -> None:
    """What a command gives, on standard output: these lines, or with ``--json`` the data as one JSON document."""
    reporter = click.get_current_context().find_root().obj
    if reporter.events or as_json:
        click.echo(json.dumps(data, indent=1, sort_keys=True, default=str))
    else:
        for line in lines:
            click.echo(line)


def open_session(options: dict[str, Any], reporter: Reporter) -> Session:
    """The session of a command line. Raises ConfigError, StoreError."""
    root = Path(options["root"]).resolve() if options["root"] else checkout()
    if change.finish(root):
        reporter.info("a change of the checkout was interrupted: it is finished now")
    config = load_config(
        root,
        user_file=Path(options["config"]) if options["config"] else None,
        store=Path(options["store"]) if options["store"] else None,
        offline=options["offline"],
    )
    config = config.override(jobs=options["jobs"])
    if said := notice(config.roots):
        reporter.info(said)
    place = Path(options["store"]) if options["store"] else config.user.store_path or default_store()
    store = Store.open(place, warn=reporter.warn)
    jobs = config.user.jobs or len(os.sched_getaffinity(0))
    return Session(
        config=config, store=store, reporter=reporter, jobs=jobs, offline=options["offline"], locked=options["locked"]
    )


def public_keys(path: Path) -> list[str]:
    """The keys of a file as lines of authorized_keys. Raises ConfigError."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if "PRIVATE KEY" in text:
        raise ConfigError("this is a private key", where=str(path), hint=f"use the public one: {path}.pub")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or not all(" " in line for line in lines):
        raise ConfigError("no public key in here", where=str(path), hint="ssh-keygen makes one: FILE.pub")
    return lines


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
