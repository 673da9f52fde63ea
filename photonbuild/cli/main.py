"""The program `photonbuild`: its commands in one group; errors become messages and exit codes here."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import time
from typing import Any

import click

from photonbuild import version
from photonbuild.errors import Interrupted, PhotonbuildError
from photonbuild.log import Reporter
from photonbuild.sandbox import process
from photonbuild.store import no_space

# Each command with the module of this package that has it: one that is called is imported with what it needs.
COMMANDS = {
    "boot": "machine",
    "build": "packages",
    "bump": "updates",
    "cache": "cache",
    "ci": "report",
    "completion": "shell",
    "diff": "inspect",
    "diff-upstream": "project",
    "doctor": "about",
    "gc": "gc",
    "graph": "graph",
    "image": "image",
    "init": "project",
    "key": "key",
    "kickstart": "kickstart",
    "log": "inspect",
    "manual": "shell",
    "outdated": "updates",
    "pico": "pico",
    "plan": "packages",
    "project": "project",
    "repo": "repo",
    "report": "report",
    "schema": "about",
    "seed": "seeds",
    "shell": "packages",
    "show": "inspect",
    "sources": "packages",
    "timings": "packages",
    "verify": "machine",
    "who-needs": "graph",
    "why": "packages",
    "worker": "worker",
}


class Commands(click.Group):
    """A group whose errors end the program, each with its message and exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"photonbuild.cli.{COMMANDS[cmd_name]}")
        found = vars(module).values()
        return next(each for each in found if isinstance(each, click.Command) and each.name == cmd_name)

    def invoke(self, context: click.Context) -> Any:
        started = time.monotonic()
        code = 1
        try:
            try:
                result = super().invoke(context)
                code = 0
                return result
            except KeyboardInterrupt:
                process.end_all()
                error: PhotonbuildError = Interrupted(
                    "interrupted", hint="run the same command again: what was built is kept"
                )
            except PhotonbuildError as raised:
                error = raised
            except OSError as raised:
                if raised.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                error = no_space(raised.filename2 or raised.filename)
            (context.obj or Reporter()).error(error)
            sys.exit(error.exit_code)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
            raise
        except (click.ClickException, click.exceptions.Exit) as ended:
            code = ended.exit_code
            raise
        finally:
            if context.obj is not None:
                context.obj.close(code, time.monotonic() - started)


def _version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"photonbuild {version.version_text()}")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show version and commit."
)
def main() -> None:
    """Build a minimal container-host operating system from RPM specs, and boot it."""
    os.umask(0o022)


if __name__ == "__main__":
    main()
