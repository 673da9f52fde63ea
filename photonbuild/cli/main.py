"""The program `photonbuild`: its commands in one group; errors become messages and exit codes here."""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import Any

import click

from photonbuild import version
from photonbuild.cli import (
    about,
    gc,
    graph,
    image,
    inspect,
    key,
    kickstart,
    machine,
    packages,
    pico,
    project,
    repo,
    report,
    seeds,
    shell,
    updates,
)
from photonbuild.errors import Interrupted, PhotonbuildError
from photonbuild.log import Reporter
from photonbuild.sandbox import process
from photonbuild.store import no_space


class Commands(click.Group):
    """A group whose errors end the program, each with its message and exit code."""

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


for _command in (
    project.init_command,
    project.project_group,
    project.diff_command,
    packages.plan_command,
    packages.why_command,
    graph.graph_command,
    graph.who_needs_command,
    inspect.log_command,
    inspect.show_command,
    inspect.diff_command,
    packages.build_command,
    packages.shell_command,
    packages.sources_group,
    packages.timings_command,
    updates.outdated_command,
    updates.bump_command,
    seeds.seed_group,
    key.key_group,
    repo.repo_group,
    gc.gc_command,
    image.image_command,
    machine.boot_command,
    machine.verify_command,
    report.ci_command,
    report.report_command,
    kickstart.kickstart_group,
    about.doctor_command,
    about.schema_command,
    shell.completion_command,
    shell.manual_command,
    pico.pico_command,
):
    main.add_command(_command)

if __name__ == "__main__":
    main()
