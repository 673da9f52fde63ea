"""Control groups of sandboxes: how much memory one may take, and whether that was too little. See cgroups(7).

Version 1 and 2, where the groups can be written: by root, and by whom root gave them to. Elsewhere nothing bounds the
sum of a sandbox's memory; its processes are bounded by rlimits everywhere, see `photonbuild.sandbox.init`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
NAME = "photonbuild"

_number = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Group:
    """The group of one sandbox; `folder` is where its files are."""

    folder: Path

    def add(self, pid: int) -> None:
        """Put a process into the group: what it starts from now on belongs to it too."""
        (self.folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def ran_out_of_memory(self) -> bool:
        """Was something in the group killed because the group had reached its limit?"""
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                for line in (self.folder / name).read_text(encoding="ascii").splitlines():
                    what, _, count = line.partition(" ")
                    if what == "oom_kill":
                        return int(count) > 0
        return False

    def remove(self) -> None:
        """Remove the group of a sandbox that has ended; its last processes may still be on their way out."""
        for _ in range(50):
            try:
                self.folder.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)


def create(memory: int) -> Group | None:
    """A group that may take this many bytes, swap included where that is counted; None where none can be made."""
    second = (ROOT / "cgroup.controllers").exists()
    parent = (ROOT if second else ROOT / "memory") / NAME
    folder = parent / f"sandbox-{os.getpid()}-{next(_number)}"
    limits = ("memory.max",) if second else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    try:
        parent.mkdir(exist_ok=True)
        if second:
            for place in (ROOT, parent):
                (place / "cgroup.subtree_control").write_text("+memory", encoding="ascii")
        folder.mkdir()
        (folder / limits[0]).write_text(str(memory), encoding="ascii")
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return None
    for name, value in ((limits[-1], memory), ("memory.swap.max", 0), ("memory.oom.group", 0)):
        if (folder / name).exists():
            with contextlib.suppress(OSError):
                (folder / name).write_text(str(value), encoding="ascii")
    return Group(folder=folder)


def available() -> bool:
    """Can the memory of sandboxes be bounded here?"""
    group = create(1 << 30)
    if group is not None:
        group.remove()
    return group is not None


def memory_of_machine() -> int:
    """Bytes of memory that this machine, or the container that we are in, has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int((ROOT / name).read_text(encoding="ascii")))
    return total
