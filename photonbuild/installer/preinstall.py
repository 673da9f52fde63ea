"""preinstall of a kickstart: scripts that are run in the live system first, and the variables that they export."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from photonbuild.installer.errors import StepError
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.source import Source
from photonbuild.installer.kickstart.model import Kickstart
from photonbuild.installer.log import Log
from photonbuild.installer.machine.gather import fetch_scripts
from photonbuild.installer.plan.additions import SHELL, script
from photonbuild.run import run

# A script is read by the shell that its first line names, so that what it exports is known however it ends.
SHELLS = ("sh", "bash", "dash")
SECRET_KEYS = ("password.text", "shadow_password")
READ = 'trap \'env -0 >"$VARIABLES"\' EXIT; . "$0"'


def run_preinstall(kickstart: Kickstart, fetcher: Fetcher, base: Source, log: Log) -> dict[str, str]:
    """Variables after all scripts, in their order. Raises StepError, FetchError; nothing is written to a disk by us."""
    folder = fetcher.paths.work / "preinstall"
    folder.mkdir(mode=0o700)
    texts = []
    if kickstart.preinstall.lines:
        texts.append(("preinstall", script(kickstart.preinstall.lines, "preinstall", kickstart.name).encode()))
    for file in fetch_scripts(kickstart.preinstall.files, "first", kickstart, fetcher, base):
        texts.append((file.source, file.path.read_bytes()))
    secrets = [name for key, name in kickstart.pending.items() if key in SECRET_KEYS]
    values = dict(kickstart.environment)
    for number, (name, text) in enumerate(texts):
        path = folder / str(number)
        path.write_bytes(text)
        log.write("info", f"run {name}")
        values = _run(name, path, values, secrets, log)
    return values


def _run(name: str, path: Path, values: Mapping[str, str], secrets: Iterable[str], log: Log) -> dict[str, str]:
    first = path.read_bytes().partition(b"\n")[0].decode(errors="replace")
    words = shlex.split(first.removeprefix("#!")) if first.startswith("#!") else []
    argv = [*(words or [SHELL.removeprefix("#!")]), "-c", READ, str(path)]
    if words and os.path.basename(words[0]) not in SHELLS:
        # What another interpreter exports nobody sees.
        path.chmod(0o700)
        argv = [str(path)]
    variables = path.with_suffix(".variables")
    variables.touch(mode=0o600)
    environment = {**values, "VARIABLES": str(variables), "LANG": "C.UTF-8"}
    done = run(argv, env=environment, check=False, error=StepError)
    lines = variables.read_text(errors="replace").split("\0")
    found = dict(line.split("=", 1) for line in lines if "=" in line) or dict(values)
    # What it says may be what it exports: a password among that is nobody's to read.
    told = f"{done.stdout}{done.stderr}".strip()
    for secret in filter(None, (found.get(each) for each in secrets)):
        told = told.replace(secret, "***")
    if told:
        log.write("debug", told)
    if done.returncode:
        raise StepError(
            f"{name} failed with exit code {done.returncode}",
            where=name if name != "preinstall" else None,
            detail=told[-4000:] or None,
            hint="nothing was written by the installer",
        )
    return found
