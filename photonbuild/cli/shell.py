"""What makes the commands at home in a shell: completion and manual pages. No logic here."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from photonbuild.cli.manual import pages
from photonbuild.cli.options import answer, without_session
from photonbuild.files import write_text
from photonbuild.log import Reporter

PROGRAM = "photonbuild"
VARIABLE = f"_{PROGRAM.upper()}_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@without_session
def completion_command(reporter: Reporter, shell: str) -> None:
    """Print what makes a shell complete commands, options, names of packages and images.

    \b
    bash: photonbuild completion bash > ~/.local/share/bash-completion/completions/photonbuild
    zsh:  photonbuild completion zsh > "${fpath[1]}/_photonbuild"
    fish: photonbuild completion fish > ~/.config/fish/completions/photonbuild.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    text = found(click.get_current_context().find_root().command, {}, PROGRAM, VARIABLE).source()
    answer({"shell": shell, "script": text}, text.rstrip("\n"))


@click.command("manual")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@without_session
def manual_command(reporter: Reporter, folder: Path) -> None:
    """Write the manual pages of all commands into FOLDER, as in ~/.local/share/man/man1."""
    folder.mkdir(parents=True, exist_ok=True)
    root = click.get_current_context().find_root().command
    assert isinstance(root, click.Group)
    paths = []
    for name, text in pages(root, PROGRAM).items():
        write_text(folder / name, text)
        paths.append(folder / name)
    answer([str(path) for path in paths], *paths)
