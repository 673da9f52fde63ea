"""How testinfra gets into a pico machine: ``pico exec``."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult


class PicoBackend(BaseBackend):  # type: ignore[misc]
    """`facts`: ``argv`` and ``env`` of the command ``pico`` and the ``name`` of the machine; its image has a shell."""

    NAME = "pico"

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        super().__init__(facts["name"])

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        line = self.get_command(command, *args)
        done = run_pico(self.facts, "exec", self.facts["name"], "/bin/sh", "-c", line)
        return self.result(done.returncode, self.encode(line), done.stdout, done.stderr)


def run_pico(facts: dict[str, Any], *words: object) -> subprocess.CompletedProcess[bytes]:
    """One ``pico`` command, whatever becomes of it."""
    argv = [*facts["argv"], *map(str, words)]
    return subprocess.run(argv, env={**os.environ, **facts["env"]}, capture_output=True, timeout=120, check=False)
