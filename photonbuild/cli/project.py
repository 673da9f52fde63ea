"""The commands about projects: init, lock, diff-upstream. No logic here."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from photonbuild.cli.options import answer, command, without_session
from photonbuild.code import PROJECT
from photonbuild.config.load import load_user
from photonbuild.config.project import Extends, extends_of
from photonbuild.errors import ConfigError
from photonbuild.log import Reporter
from photonbuild.paths import checkout, default_store
from photonbuild.pipeline.session import Session
from photonbuild.projects.create import create
from photonbuild.projects.differences import chosen, differences
from photonbuild.projects.relock import relock
from photonbuild.projects.resolve import Finder
from photonbuild.store import Store


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--extends", type=click.Path(exists=True, file_okay=False), help="Extend the checkout in this folder.")
@click.option("--git", help="Extend what this git repository holds; --ref says which state.")
@click.option("--ref", help="A branch, a tag or a commit.")
@click.option("--store", type=click.Path(file_okay=False), help="Store to use instead of $PHOTONBUILD_STORE.")
@without_session
def init_command(
    reporter: Reporter, folder: Path, extends: str | None, git: str | None, ref: str | None, store: str | None
) -> None:
    """Make a project: a distribution of your own over this one, in a new or empty folder.

    Without --extends or --git it extends what this photonbuild came with: its checkout, or what is in its wheel.
    """
    if (git is None) != (ref is None) or (git is not None and extends is not None):
        raise ConfigError("either --extends, or --git and --ref")
    here = Path.cwd()
    made = create(folder, _extends(extends, git, ref), Finder(store=lambda: _store(store)))
    reporter.info(f"{folder} is a project: photonbuild plan in there says what it would build")
    answer({"project": str(made)})
    if made == here:
        reporter.info("this shell is still in the empty folder that was here before: cd .")


def _store(named: str | None) -> Store:
    return Store.open(Path(named) if named else load_user().store_path or default_store(), warn=Reporter().warn)


def _extends(path: str | None, git: str | None, ref: str | None) -> Extends:
    if git is not None:
        return extends_of(git=git, ref=ref)
    if path is None and not (PROJECT / "build" / "distribution.yaml").exists():
        return extends_of(installed=True)
    return extends_of(path=path or str(PROJECT))


@click.group("project")
def project_group() -> None:
    """What a project extends."""


@project_group.command("lock")
@click.option("--root", type=click.Path(exists=True, file_okay=False), help="Project to work on.")
@click.option("--store", type=click.Path(file_okay=False), help="Store to use instead of $PHOTONBUILD_STORE.")
@without_session
def lock_command(reporter: Reporter, root: str | None, store: str | None) -> None:
    """Take the newest state of what the project extends, and write photonbuild.lock."""
    lines = list(relock(Path(root).resolve() if root else checkout(), lambda: _store(store)))
    answer({"locked": lines}, *lines)


@click.command("diff-upstream")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--names-only", is_flag=True, help="No diff: only what is own, replaces, or changes.")
@command
def diff_command(session: Session, names: tuple[str, ...], names_only: bool) -> None:
    """Show what of this project is other than in what it extends: all, or these, as specs/bash."""
    found = chosen(differences(session.config.roots), names)
    lines = [f"{difference.state:8}  {difference.name}" for difference in found]
    diffs = [] if names_only else [line for difference in found for line in difference.diff.splitlines()]
    answer([dataclasses.asdict(difference) for difference in found], *lines, *diffs)
