"""What all commands have in common, found by walking their tree: --json, manual pages, completion, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from photonbuild.cli.main import main
from photonbuild.cli.manual import escape, exit_codes, pages, walk
from photonbuild.events import schema
from tests.support.jsonschema import violations

ROOT = Path(__file__).parents[3]
COMMANDS = {" ".join(path): command for path, command in walk(main, ("photonbuild",))}
LEAVES = {name: command for name, command in COMMANDS.items() if not isinstance(command, click.Group)}
# It hands all its words on: pico has options of its own, and --json where it lists something.
NOT_OURS = {"photonbuild pico"}
REQUESTS = {".TH", ".SH", ".PP", ".TP", ".B", ".nf", ".fi"}


@pytest.mark.parametrize("name", sorted(LEAVES.keys() - NOT_OURS))
def test_every_command_has_json(name: str) -> None:
    options = [option for option in LEAVES[name].params if "--json" in option.opts]
    assert [option.name for option in options] == (["events"] if options[0].expose_value else []), name


@pytest.mark.parametrize("words", [["schema", "seed"], ["kickstart", "schema"], ["completion", "bash"], ["timings"]])
def test_answers_are_json_and_events_are_of_the_schema(words: list[str], tmp_path: Path) -> None:
    more = ["--store", str(tmp_path)] if words == ["timings"] else []
    done = CliRunner().invoke(main, [*words, "--json", *more])
    assert done.exit_code == 0, done.stderr
    json.loads(done.stdout)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in told] == ["end"]
    assert [wrong for event in told for wrong in violations(event, schema(), schema())] == []


def test_the_schema_refuses_what_is_no_event() -> None:
    for wrong in (
        {"event": "info"},
        {"event": "nothing", "time": 1},
        {"event": "info", "time": 1, "text": "", "more": 1},
    ):
        assert violations(wrong, schema(), schema()), wrong


def test_every_command_has_a_manual_page() -> None:
    found = pages(main, "photonbuild")
    assert found.keys() == {f"{name.replace(' ', '-')}.1" for name in COMMANDS}
    for name, command in COMMANDS.items():
        text = found[f"{name.replace(' ', '-')}.1"]
        assert text.isascii()
        for line in text.splitlines():
            assert not line.startswith("'") and (not line.startswith(".") or line.split(" ")[0] in REQUESTS), line
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert escape(option.opts[0]) in text, f"{name} {option.opts}"
        assert all(rf"\fB{code}\fR" in text for code in exit_codes())


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "photonbuild"
    # By its name on PATH, as an installed program is called.
    path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m photonbuild "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def test_completion_in_a_real_bash(program: Path, tmp_path: Path) -> None:
    script = """
        cd "$1"; source <(photonbuild completion bash)
        complete -p photonbuild | grep -q _photonbuild || exit 3
        try() { COMP_WORDS=(photonbuild "$@"); COMP_CWORD=$#; COMPREPLY=()
                _photonbuild_completion photonbuild "${!COMP_CWORD}" ""; echo "${COMPREPLY[@]}"; }
        try ver; try repo si; try verify --ju; try image is
    """
    checkout = tmp_path / "checkout"
    (checkout / "build" / "images").mkdir(parents=True)
    for name in ("iso", "raw"):
        (checkout / "build" / "images" / f"{name}.yaml").touch()
    (checkout / "build" / "distribution.yaml").touch()
    (checkout / "specs").mkdir()
    env = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    argv = ["bash", "--norc", "-c", script, "bash", str(checkout)]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines()]
    assert words[:3] == [["verify"], ["sign"], ["--junit"]], done.stdout + done.stderr
    assert words[3] == ["iso"]


COLOURED = re.compile("\x1b\\[[0-9;]*(3[0-7]|9[0-7]|38)")


@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": ""}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_of_a_log_are_as_the_variables_say(env: dict[str, str], coloured: bool) -> None:
    argv = [sys.executable, "-m", "photonbuild", "schema", "no-such"]
    plain = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    done = subprocess.run(argv, capture_output=True, text=True, env=plain | env, check=False)
    assert done.returncode == 2 and "unknown schema" in done.stderr
    assert bool(COLOURED.search(done.stderr)) == coloured, done.stderr


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_of_a_terminal(env: dict[str, str], coloured: bool) -> None:
    script = f"import pty, sys; pty.spawn({[sys.executable, '-m', 'photonbuild', 'schema', 'no-such']!r})"
    plain = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=plain | env, check=False)
    assert "unknown schema" in done.stdout
    assert bool(COLOURED.search(done.stdout)) == coloured, done.stdout


def test_exit_codes_are_documented() -> None:
    page = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\d+) \| ([^|]+) \|$", page.partition("## Exit codes")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert {int(code): text for code, text in rows if int(code) not in (125, 126, 127)} == dict(exit_codes())
