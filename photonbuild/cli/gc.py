"""The command that removes what the store no longer needs. No logic here."""

from __future__ import annotations

import click

from photonbuild import gc
from photonbuild.cli.options import answer, command
from photonbuild.errors import ConfigError
from photonbuild.pipeline.session import Session


@click.command("gc")
@click.option("--older-than", metavar="TIME", help="What was not used for this long: 30d, 12h, 90m.")
@click.option("--max-size", metavar="SIZE", help="Until what can be collected takes no more than this: 20G, 500M.")
@click.option("--dry-run", is_flag=True, help="Remove nothing, say what would go.")
@command
def gc_command(session: Session, older_than: str | None, max_size: str | None, dry_run: bool) -> None:
    """Remove what was not used for longest from the store; with both options, nothing younger.

    What a running build or machine uses stays. What is removed is made again when it is needed.
    """
    if older_than is None and max_size is None:
        raise ConfigError("nothing says what may go", hint="--older-than 30d, --max-size 20G, or both")
    try:
        older = None if older_than is None else gc.seconds_of(older_than)
        size = None if max_size is None else gc.bytes_of(max_size)
    except ValueError as wrong:
        raise ConfigError(str(wrong), where="photonbuild gc") from None
    found = gc.entries(session.store)
    chosen = gc.choose(found, older=older, size=size, now=gc.now())
    freed, gone_by_name = 0, {}
    for entry, gone in gc.collect(session.store, chosen, dry_run=dry_run):
        if gone:
            freed += entry.size
            gone_by_name[entry.name] = entry.size
        else:
            session.reporter.info(f"{entry.name} is in use")
    answer(gone_by_name, *(f"{size / 1e6:10.1f} MB  {name}" for name, size in gone_by_name.items()))
    total = sum(entry.size for entry in found)
    said = "would be freed" if dry_run else "freed"
    session.reporter.info(f"{freed / 1e6:.1f} MB {said}, {(total - freed) / 1e6:.1f} MB stay")
