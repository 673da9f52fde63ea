"""What the commands share: options, arguments, and the session that they work in."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from photonbuild.log import Reporter
from photonbuild.machines.clouds import CLOUDS
from photonbuild.paths import checkout, default_store
from photonbuild.pipeline import change
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.projects.differences import notice
from photonbuild.store import Store

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
image_argument = click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
as_disk_option = click.option("--as-disk", is_flag=True, help="Plug an ISO in as a USB stick.")
platform_option = click.option(
    "--platform", type=click.Choice(["none", *CLOUDS]), help="Play this cloud; by default the one of the manifest."
)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options, and a Session made of them as its first argument.

    The Reporter, which errors are told to as well, is the `obj` of click's root context.
    """

    @functools.wraps(function)
    def wrapper(**options: Any) -> None:
        reporter = Reporter(verbose=options.pop("verbose"), events=options.pop("events"))
        click.get_current_context().find_root().obj = reporter
        shared = {name: options.pop(name) for name in ("root", "store", "config", "jobs", "offline", "locked")}
        signal.signal(signal.SIGTERM, _interrupt)
        function(open_session(shared, reporter), **options)

    for option in reversed(SHARED):
        wrapper = option(wrapper)
    return wrapper


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


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
