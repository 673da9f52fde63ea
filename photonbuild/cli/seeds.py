"""The commands about seeds. No logic here."""

from __future__ import annotations

import click

from photonbuild.cli.options import answer, command
from photonbuild.config.checks import unknown
from photonbuild.pipeline.session import Session
from photonbuild.seeds import seed


@click.group("seed")
def seed_group() -> None:
    """The roots of tools that build packages and run machines."""


seed_names = click.argument("names", nargs=-1, metavar="[NAME]...")


@seed_group.command("lock")
@seed_names
@command
def seed_lock(session: Session, names: tuple[str, ...]) -> None:
    """Resolve the newest packages of the suite, build the seed from them, and write its lock."""
    locks = {
        name: str(seed.lock(session.config, session.store, name, session.reporter.warn))
        for name in known(session, names)
    }
    answer(locks, *locks.values())


@seed_group.command("build")
@seed_names
@command
def seed_build(session: Session, names: tuple[str, ...]) -> None:
    """Make the locked seed, unless the store has it."""
    roots = {name: str(session.frozen(name).root) for name in known(session, names)}
    answer(roots, *roots.values())


def known(session: Session, names: tuple[str, ...]) -> tuple[str, ...]:
    """These seeds, or all of them. Raises ConfigError for a name that is none."""
    for name in names:
        if name not in session.config.seed_names:
            raise unknown("seed", name, session.config.seed_names)
    return names or session.config.seed_names
