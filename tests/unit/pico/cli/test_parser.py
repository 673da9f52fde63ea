"""The command line."""

from __future__ import annotations

import pytest

from pico.cli import parser
from pico.cli.commands import COMMANDS


def test_what_follows_the_image_is_the_commands() -> None:
    found = parser.parser().parse_args(["run", "-it", "--rm", "-e", "A=b", "box", "ls", "-l", "--rm", "-e"])
    assert (found.interactive, found.tty, found.rm, found.env) == (True, True, True, ["A=b"])
    assert (found.image, found.command) == ("box", ["ls", "-l", "--rm", "-e"])


def test_misuse_has_dockers_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser.parser().parse_args(["run", "--nonsense", "box"])
    assert ended.value.code == 125
    assert "error:" in capsys.readouterr().err


def test_every_command_has_its_options() -> None:
    (commands,) = (action for action in parser.parser()._actions if action.dest == "chosen")
    assert isinstance(commands.choices, dict)
    assert set(commands.choices) == COMMANDS.keys()
    assert [name for name, each in commands.choices.items() if "--json" not in each._option_string_actions] == []
