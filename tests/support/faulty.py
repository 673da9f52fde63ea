"""photonbuild with faults: run as a program, with what is to go wrong as JSON in the variable FAULTS.

small: work begins however little room there is.
clock: the time of day jumps by years at every look, forth and back, by this seed.
kill:  SIGKILL before this system call, counted from 1, of those that change names in the store or bring it to the disk.
count: the file that says how many of these there were.
unsynced: nothing is brought to the disk.
power: the file to which each name that appears in the store is written, with the files below it that a loss of power
       right then would take: those that were not brought to the disk since they were last changed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import photonbuild.files
import photonbuild.store
from photonbuild.cli.main import main

CALLS = ("rename", "replace", "mkdir", "unlink", "rmdir", "symlink", "link", "fsync")


def jump(seed: int) -> None:
    chance = random.Random(seed)
    now, now_ns = time.time, time.time_ns
    years = 10 * 365 * 86400
    time.time = lambda: now() + chance.randint(-years, years)
    time.time_ns = lambda: now_ns() + chance.randint(-years, years) * 10**9


def count_calls(store: str, kill: int | None, count: str | None) -> None:
    """Every name and file below the store counts; `kill` ends us before that call."""
    seen, guard = 0, threading.Lock()

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **more: Any) -> Any:
            nonlocal seen
            first = arguments[0] if arguments else ""
            named = os.readlink(f"/proc/self/fd/{first}") if isinstance(first, int) else str(first)
            if store in named:
                with guard:
                    seen += 1
                    if seen == kill:
                        os.kill(os.getpid(), signal.SIGKILL)
                    if count:
                        Path(count).write_text(str(seen), encoding="ascii")
            return call(*arguments, **more)

        return wrapper

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    photonbuild.files._syncfs = counted(photonbuild.files._syncfs)


class PowerRecorder:
    """What of the store a loss of power would take, by the promises of fsync(2), syncfs(2) and rename(2) only.

    The content of a file is safe once it was synced and not changed since. Of a name nothing is promised: the worst is
    that it is there.
    """

    def __init__(self, store: Path, log: Path) -> None:
        self.store, self.log = store, log
        self.safe: dict[int, tuple[int, int]] = {}
        self.guard = threading.Lock()
        self._wrap()

    def _state(self, facts: os.stat_result) -> tuple[int, int]:
        return facts.st_size, facts.st_mtime_ns

    def _files(self, path: Path) -> list[Path]:
        found = sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else [path]
        return [file for file in found if file.is_file() and not file.is_symlink()]

    def _wrap(self) -> None:
        fsync, syncfs = os.fsync, photonbuild.files._syncfs

        def synced(handle: int) -> None:
            fsync(handle)
            facts = os.fstat(handle)
            with self.guard:
                self.safe[facts.st_ino] = self._state(facts)

        def all_synced(handle: int) -> None:
            before = [(file, file.stat()) for file in self._files(self.store)]
            syncfs(handle)
            with self.guard:
                for _, facts in before:
                    self.safe[facts.st_ino] = self._state(facts)

        os.fsync = synced  # type: ignore[assignment]
        photonbuild.files._syncfs = all_synced
        for name in ("rename", "replace", "link"):
            setattr(os, name, self._named(getattr(os, name)))

    def _named(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(source: Any, target: Any, **more: Any) -> Any:
            final = Path(os.path.abspath(target))
            if self.store in final.parents and self.store / "tmp" not in final.parents:
                with self.guard:
                    files = self._files(Path(source))
                    lost = [f for f in files if self.safe.get(f.stat().st_ino) != self._state(f.stat())]
                    base = Path(source)
                    line = {
                        "name": str(final.relative_to(self.store)),
                        "files": len(files),
                        "lost": [str(f.relative_to(base)) for f in lost],
                    }
                    with self.log.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(line) + "\n")
            return call(source, target, **more)

        return wrapper


def start() -> None:
    faults = json.loads(os.environ.get("FAULTS", "{}"))
    store = faults.get("store", "")
    if faults.get("small"):
        photonbuild.store.LEAST_FREE = 0
    if "clock" in faults:
        jump(faults["clock"])
    if "kill" in faults or "count" in faults:
        count_calls(store, faults.get("kill"), faults.get("count"))
    if "power" in faults:
        PowerRecorder(Path(store), Path(faults["power"]))
    # After the recorder, which then is told of nothing.
    if faults.get("unsynced"):
        photonbuild.files._syncfs = lambda handle: None
        os.fsync = lambda fd: None
    main()


if __name__ == "__main__":
    start()
