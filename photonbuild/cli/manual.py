"""Manual pages out of the commands themselves: one for the program, one for each command. man(7).

click-man 0.6, which does the same, escapes nothing of the texts, cuts summaries off and knows no exit status.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping

import click

from photonbuild import __version__, errors
from photonbuild.errors import PhotonbuildError

GLYPHS = {"\\": r"\e", "-": r"\-", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}


def pages(root: click.Group, program: str) -> Mapping[str, str]:
    """Every page by the name of its file: photonbuild.1, photonbuild-repo-sign.1."""
    found = {}
    for path, command in walk(root, (program,)):
        context = context_of(path, command)
        lines = [*_head(path, command, context), *_body(path, command, context)]
        found[f"{'-'.join(path)}.1"] = "\n".join(lines) + "\n"
    return found


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """This command and all below it, each with the words that it is called by."""
    yield path, command
    if isinstance(command, click.Group):
        for name, below in commands_of(command):
            yield from walk(below, (*path, name))


def commands_of(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Those of a group, sorted by name."""
    context = click.Context(group)
    for name in sorted(group.list_commands(context)):
        if (found := group.get_command(context, name)) is not None:
            yield name, found


def context_of(path: tuple[str, ...], command: click.Command) -> click.Context:
    return click.Context(command, info_name=" ".join(path), help_option_names=["-h", "--help"])


def exit_codes() -> Mapping[int, str]:
    """What the program's exit codes mean, of every family of errors."""
    classes = [found for _, found in inspect.getmembers(errors, inspect.isclass)]
    families = [found for found in classes if issubclass(found, PhotonbuildError) and found is not PhotonbuildError]
    texts = {family.exit_code: _sentence(family) for family in families}
    return {0: "Success.", 1: "A mistake in photonbuild itself.", **dict(sorted(texts.items()))}


def _sentence(family: type[PhotonbuildError]) -> str:
    return (inspect.getdoc(family) or "").split("\n\n")[0].replace("\n", " ")


def escape(text: str) -> str:
    """Text as it is: nothing in it is a request or an escape of roff."""
    text = "".join(GLYPHS.get(char) or (char if char.isascii() else f"\\[u{ord(char):04X}]") for char in text)
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def _head(path: tuple[str, ...], command: click.Command, context: click.Context) -> Iterator[str]:
    name = "-".join(path)
    yield f'.TH "{escape(name.upper())}" "1" "" "{escape(f"photonbuild {__version__}")}" "photonbuild"'
    yield ".SH NAME"
    yield rf"{escape(name)} \- {escape(_summary(command))}"
    yield ".SH SYNOPSIS"
    yield rf".B {escape(' '.join(path))}"
    yield escape(" ".join(command.collect_usage_pieces(context)))
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")


def _body(path: tuple[str, ...], command: click.Command, context: click.Context) -> Iterator[str]:
    records = [record for option in command.get_params(context) if (record := option.get_help_record(context))]
    if records:
        yield ".SH OPTIONS"
    for names, text in records:
        yield ".TP"
        yield rf"\fB{escape(names)}\fR"
        yield escape(" ".join(text.split())) or r"\&"
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        for name, below in commands_of(command):
            yield ".TP"
            yield rf"\fB{escape('-'.join((*path, name)))}\fR(1)"
            yield escape(_summary(below))
    yield ".SH EXIT STATUS"
    for code, text in exit_codes().items():
        yield ".TP"
        yield rf"\fB{code}\fR"
        yield escape(text)
    if len(path) > 1:
        yield ".SH SEE ALSO"
        yield rf"\fB{escape('-'.join(path[:-1]))}\fR(1)"


def _summary(command: click.Command) -> str:
    return (command.help or "").split("\n\n")[0].replace("\n", " ").strip().rstrip(".")


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(text).replace("\f", ""))):
        if number:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield ".nf"
            yield escape(paragraph.lstrip("\b").strip("\n"))
            yield ".fi"
        else:
            yield escape(" ".join(paragraph.split()))
