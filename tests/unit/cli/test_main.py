"""What ends a command: its message and its exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from photonbuild.cli import options
from photonbuild.cli.main import main
from photonbuild.errors import ConfigError
from photonbuild.sandbox import process


def test_an_error_is_told_with_its_hint() -> None:
    done = CliRunner().invoke(main, ["schema", "no-such"])
    assert done.exit_code == 2
    assert "error: unknown schema 'no-such'" in done.stderr and "hint: known: " in done.stderr


def test_an_error_is_an_event_where_events_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ConfigError("not so", where="a file")

    monkeypatch.setattr(options, "open_session", broken)
    done = CliRunner().invoke(main, ["plan", "--json"])
    assert done.exit_code == 2
    error, end = map(json.loads, done.stderr.splitlines())
    assert (error["event"], error["message"], error["where"]) == ("error", "not so", "a file")
    assert (end["event"], end["code"]) == ("end", 2)


def test_an_interrupt_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    ended: list[bool] = []
    monkeypatch.setattr(options, "open_session", interrupted)
    monkeypatch.setattr(process, "end_all", lambda: ended.append(True))
    done = CliRunner().invoke(main, ["plan"])
    assert done.exit_code == 130
    assert "run the same command again" in done.stderr
    assert ended == [True]


def test_what_is_no_error_of_ours_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(options, "open_session", broken)
    assert isinstance(CliRunner().invoke(main, ["plan"]).exception, AssertionError)


def commands(group: click.Group, *words: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, *words, name)
        else:
            yield " ".join([*words, name]), found


def test_every_command_has_json() -> None:
    """`pico` has a parser of its own, and a test of its own in tests/unit/pico/cli."""
    known = dict(commands(main))
    assert len(known) > 40
    without = {name for name, found in known.items() if not any("--json" in each.opts for each in found.params)}
    assert without == {"pico"}


def test_timings_of_a_named_store(tmp_path: Path) -> None:
    (tmp_path / "timings.json").write_text('{"tool": {"cpu_seconds": 12.5, "scratch_bytes": 1}}')
    done = CliRunner().invoke(main, ["timings", "--store", str(tmp_path)])
    assert done.exit_code == 0 and "12.5  tool" in done.output
