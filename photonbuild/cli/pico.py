"""``photonbuild pico``: the command ``pico`` under another name. See `photonbuild.__main__` for the fast way there."""

from __future__ import annotations

import click


@click.command(
    "pico", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def pico_command(arguments: tuple[str, ...]) -> None:
    """Container images as virtual machines: run, ps, logs, exec, stop, kill, rm, images, pull, rmi, template…"""
    from pico.__main__ import run

    run(arguments)
