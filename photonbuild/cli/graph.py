"""The commands about which spec needs which. No logic here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from photonbuild.cli.options import command
from photonbuild.errors import ConfigError
from photonbuild.files import write_text
from photonbuild.packages import drawing
from photonbuild.packages.requirements import Kind
from photonbuild.pipeline import graph as pipeline
from photonbuild.pipeline.session import Session

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FORMS = ("text", "json", "dot", "svg")


def tree_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that name a foreign tree of specs."""
    for option in (
        click.option("--macros", multiple=True, type=_FILE, help="rpm macros that those specs need (with --specs)."),
        click.option("--specs", "tree", type=_FOLDER, help="A foreign tree of specs, in place of this checkout's."),
    ):
        function = option(function)
    return function


@click.command("graph")
@click.argument("names", nargs=-1)
@tree_options
@click.option("--why", nargs=2, metavar="A B", help="Show the shortest chain of requirements from A to B.")
@click.option("--kind", type=click.Choice(get_args(Kind)), default="all", show_default=True, help="Which requirements.")
@click.option("--depth", type=click.IntRange(min=0), help="How many steps to go from the named specs.")
@click.option("--form", type=click.Choice(FORMS), help="Form of the answer; text, and json with --json.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File to write it to.")
@command
def graph_command(
    session: Session,
    names: tuple[str, ...],
    tree: Path | None,
    macros: tuple[Path, ...],
    why: tuple[str, str] | None,
    kind: Kind,
    depth: int | None,
    form: str | None,
    output: Path | None,
) -> None:
    """Show which spec needs which: of NAMES and what they need, or of all. Builds nothing.

    With --specs the specs are those of another tree, at any depth and any number to a folder; what rpm refuses of it is
    listed, and the rest goes on.
    """
    if why and names:
        raise ConfigError("--why goes without further names")
    forest = pipeline.read(session, tree, macros)
    form = form or ("json" if session.reporter.events else "text")
    if why:
        _put(_chain(session, forest, *why, kind, form), output)
        return
    pipeline.tell(session, forest)
    specs = drawing.chosen(forest.graph, [forest.spec(name) for name in names], kind, depth)
    if form == "text":
        text = "\n".join(drawing.text_of(forest.graph, specs, kind)) + "\n"
    elif form == "json":
        text = _json(drawing.data_of(forest.graph, forest.tree, specs, kind))
    else:
        text = drawing.dot_of(forest.graph, specs, kind)
    _put(pipeline.layout(session.store, text) if form == "svg" else text, output)


def _chain(session: Session, forest: pipeline.Forest, user: str, needed: str, kind: Kind, form: str) -> str:
    steps = forest.graph.why(forest.named(user), forest.named(needed), kind)
    if form == "json":
        return _json({"user": user, "needed": needed, "chain": None if steps is None else [asdict(s) for s in steps]})
    if steps is None:
        return f"{user} does not need {needed}\n" if form == "text" else drawing.chain_dot(forest.graph, ())
    if form == "text":
        return "\n".join(drawing.chain_text(forest.graph, steps)) + "\n"
    text = drawing.chain_dot(forest.graph, steps)
    return pipeline.layout(session.store, text) if form == "svg" else text


@click.command("who-needs")
@click.argument("name")
@tree_options
@click.option("--all", "everyone", is_flag=True, help="List also those that need it by way of others.")
@command
def who_needs_command(session: Session, name: str, tree: Path | None, macros: tuple[Path, ...], everyone: bool) -> None:
    """Show what needs a package or any package of a spec, and by which capability; also profiles and images."""
    forest = pipeline.read(session, tree, macros)
    found = forest.named(name)
    users, others = forest.graph.users(found), forest.graph.all_users(found)
    named = pipeline.named_by(session, forest, found) if tree is None else {}
    if session.reporter.events:
        rows: dict[str, Any] = {"users": [asdict(step) for step in users], "specs": others, **named}
        click.echo(_json({"name": name, **rows}), nl=False)
        return
    for line in drawing.chain_text(forest.graph, users):
        click.echo(line)
    for kind, owners in named.items():
        for owner in owners:
            click.echo(f"{kind.removesuffix('s')} {owner}")
    _summary(session, name, others, everyone=everyone)


def _summary(session: Session, name: str, others: Sequence[str], *, everyone: bool) -> None:
    if everyone:
        for other in others:
            click.echo(other)
    session.reporter.info(
        f"{len(others)} specs need {name}, directly or not" + ("" if everyone else " (--all lists them)")
    )


def _json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"


def _put(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
