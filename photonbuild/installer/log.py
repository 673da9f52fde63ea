"""The log of an installation, in a file and on the console."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from photonbuild.installer.kickstart.model import LOG_LEVELS
from photonbuild.installer.kickstart.urls import redacted


class Log:
    """The log file, which gets everything, and the console, which gets what `level` lets through; no URL's secrets."""

    def __init__(self, path: Path, console: Callable[[str], None], level: str = "info") -> None:
        self.path, self.console, self.level = path, console, level
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, level: str, text: str) -> None:
        text = redacted(text)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.write(
            self._file,
            "".join(f"{stamp} {level:7} {line}\n" for line in text.splitlines()).encode(errors="backslashreplace"),
        )
        if LOG_LEVELS.index(level) <= LOG_LEVELS.index(self.level):
            self.console(text)

    def close(self) -> None:
        os.close(self._file)
