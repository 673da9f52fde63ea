"""Check files against a machine: pytest is run on them in a process of its own, and its results are read.

They are pytest-testinfra tests in ``photonbuild/machines/checks``: ``test_system.py`` always, ``test_cloud.py`` for an
image of a cloud, and ``test_CHECK.py`` for each runtime of ``build/runtimes.yaml`` that the machine has; where it has
two or more, also ``test_side_by_side.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from photonbuild.config.models import Runtime
from photonbuild.errors import VerifyError
from photonbuild.machines.report import Check, parse_junit
from photonbuild.run import run

CHECKS = Path(__file__).parent / "checks"
CHECK_TIMEOUT = 900.0
OWN_CONFTEST = "from photonbuild.machines.checks.conftest import *\n"


def check_names(present: Sequence[Runtime], *, cloud: bool = False) -> list[str]:
    """The check files for a machine that has the runtimes `present`, in their order. Pure."""
    together = ["side_by_side"] if len(present) > 1 else []
    return ["system", *(["cloud"] if cloud else []), *(runtime.check for runtime in present), *together]


def missing_runtimes(
    runtimes: Sequence[Runtime], present: Collection[Runtime], packages: Collection[str] | None
) -> tuple[Check, ...]:
    """A failed check for each runtime that the image's manifest lists among its `packages` and the machine lacks. Pure.

    None for `packages`: there is no manifest, and nothing is demanded.
    """
    return tuple(
        Check(
            name=f"system: {runtime.name} is installed",
            outcome="failed",
            seconds=0,
            message=f"the manifest lists the package {runtime.package}, the machine does not have it",
        )
        for runtime in runtimes
        if runtime.package in (packages or ()) and runtime not in present
    )


class CheckTarget(Protocol):
    """A machine, as far as `run_checks` has to know it."""

    @property
    def folder(self) -> Path:
        """Where facts and results go."""

    def check_alive(self) -> None:
        """Raises VerifyError when the machine is gone."""


def run_checks(
    machine: CheckTarget, facts: Mapping[str, Any], names: Sequence[str], *, own: Sequence[Path] = ()
) -> tuple[Check, ...]:
    """Run the named check files against the machine, then those of the user. Raises VerifyError when they cannot be run
    at all."""
    facts_file = machine.folder / "facts.json"
    facts_file.write_text(json.dumps(facts))
    files = [CHECKS / f"test_{name}.py" for name in names]
    for file in files:
        if not file.is_file():
            raise VerifyError("no such check", where=str(file), hint="build/runtimes.yaml names the checks")
    checks = _pytest(machine, facts_file, files, CHECKS)
    return (*checks, *_pytest(machine, facts_file, *_with_fixtures(machine, own))) if own else checks


def _with_fixtures(machine: CheckTarget, own: Sequence[Path]) -> tuple[list[Path], Path]:
    """Copies of the user's check files in a folder where they have the fixtures of ours, and that folder."""
    folder = machine.folder / "own"
    folder.mkdir(exist_ok=True)
    (folder / "conftest.py").write_text(OWN_CONFTEST, encoding="utf-8")
    files = []
    for path in own:
        name = path.name if path.name.startswith("test_") else f"test_{path.name}"
        if (folder / name) in files:
            raise VerifyError(f"two check files are called {path.name}", where=str(path))
        shutil.copyfile(path, folder / name)
        files.append(folder / name)
    return files, folder


def _pytest(machine: CheckTarget, facts_file: Path, files: Sequence[Path], root: Path) -> tuple[Check, ...]:
    result = machine.folder / f"{root.name}.xml"
    result.unlink(missing_ok=True)
    done = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "--no-header",
         "-c", os.devnull, "--rootdir", root, f"--junitxml={result}", *files],
        env={"PHOTONBUILD_MACHINE": str(facts_file), "PYTHONPATH": str(CHECKS.parents[2])},
        timeout=CHECK_TIMEOUT, check=False, error=VerifyError,
    )  # fmt: skip
    checks = parse_junit(result.read_text()) if result.exists() else ()
    if done.returncode not in (0, 1) or not checks:
        machine.check_alive()
        raise VerifyError("the checks could not be run", detail=(done.stdout + done.stderr)[-4000:])
    return checks
