"""The command ``pico`` with machines, images and templates of the tests' own, apart from the user's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


WAITING = ("spare", "template")  # states of what QEMU runs for, but no container


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class PicoCommand:
    """The command ``pico``, with machines and images of its own in `folder`."""

    folder: Path
    store: Path

    def argv(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "pico", "--folder", str(self.folder), *map(str, words)]

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PHOTONBUILD_STORE": str(self.store), "PYTHONPATH": str(ROOT)}

    def call(self, *words: object, input: bytes = b"", timeout: float = 120) -> Done:
        done = subprocess.run(
            self.argv(*words), env=self.env, cwd=ROOT, input=input, capture_output=True, timeout=timeout, check=False
        )
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def ok(self, *words: object, input: bytes = b"", timeout: float = 120) -> str:
        """Standard output of a command that must work."""
        done = self.call(*words, input=input, timeout=timeout)
        assert done.code == 0, f"exit code {done.code}: {done.err}"
        return done.out

    def fails(self, code: int, *words: object, input: bytes = b"") -> str:
        """Standard error of a command that must fail with `code`, with one error and no traceback."""
        done = self.call(*words, input=input)
        assert done.code == code, f"exit code {done.code}: {done.out}{done.err}"
        assert "Traceback" not in done.err
        return done.err

    def start(self, *words: object, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.argv(*words), env=self.env, cwd=ROOT, **options)

    def ps(self) -> dict[str, dict[str, Any]]:
        """All machines, and spares under their ids, by name."""
        return {row["name"] or row["id"]: row for row in json.loads(self.ok("ps", "--all", "--json"))}

    def state(self, name: str) -> str:
        return str(self.ps().get(name, {}).get("state", "gone"))

    def end(self) -> None:
        """End and remove everything."""
        for row in self.ps().values():
            if row["state"] not in WAITING:
                self.call("rm", "-f", row["id"])

        def gone() -> bool:
            self.call("template", "--remove", "--all")
            self.call("gc")
            return not processes_in(self.folder)

        assert until(gone), "machines are left that nobody knows of"


def until(check: Callable[[], bool], seconds: float = 30) -> bool:
    """Wait for something to become true."""
    ends = time.monotonic() + seconds
    while not check():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def processes_in(folder: Path) -> set[int]:
    """Every process that holds the lock of a machine below a folder."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if not (entry / "exe").readlink().name.startswith("qemu-system"):
                continue
            held = [str(link.readlink()) for link in (entry / "fd").iterdir()]
        except OSError:
            continue
        if any(path.startswith(f"{folder}/") and path.endswith("/alive") for path in held):
            found.add(int(entry.name))
    return found
