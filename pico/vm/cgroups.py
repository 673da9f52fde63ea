"""Control groups of machines, version 1 or 2, where they can be written. See cgroups(7).

A machine cannot use more memory than it has; the group also bounds what QEMU itself uses, its processor time and its
threads.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
NAME = "photonbuild"
# What QEMU may use beside the guest's memory, in MiB, and how many threads it may have beside the guest's processors.
OVERHEAD, THREADS = 256, 64
PERIOD = 100_000


def create(identity: str, *, memory: int, cpus: float | None) -> list[Path]:
    """The groups of a machine, made now, for its QEMU to join; [] where none can be made. `memory` in MiB."""
    with contextlib.suppress(OSError):
        if (ROOT / "cgroup.controllers").exists():
            return [_version2(identity, memory, cpus)]
        return _version1(identity, memory, cpus)
    remove(identity)
    return []


def _version2(identity: str, memory: int, cpus: float | None) -> Path:
    parent = ROOT / NAME
    parent.mkdir(exist_ok=True)
    for folder in (ROOT, parent):
        (folder / "cgroup.subtree_control").write_text("+memory +cpu +pids", encoding="ascii")
    group = parent / identity
    group.mkdir(exist_ok=True)
    (group / "memory.max").write_text(str((memory + OVERHEAD) << 20), encoding="ascii")
    (group / "pids.max").write_text(str(THREADS), encoding="ascii")
    if cpus is not None:
        (group / "cpu.max").write_text(f"{round(cpus * PERIOD)} {PERIOD}", encoding="ascii")
    return group


def _version1(identity: str, memory: int, cpus: float | None) -> list[Path]:
    limits = {
        "memory": {"memory.limit_in_bytes": (memory + OVERHEAD) << 20},
        "pids": {"pids.max": THREADS},
        **({"cpu": {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": round(cpus * PERIOD)}} if cpus else {}),
    }
    made = []
    for controller, values in limits.items():
        group = ROOT / controller / NAME / identity
        group.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            (group / name).write_text(str(value), encoding="ascii")
        made.append(group)
    return made


def restrict(identity: str, cpus: float) -> bool:
    """Bound the processor time of a machine that runs already; False where that cannot be done."""
    with contextlib.suppress(OSError):
        if (ROOT / "cgroup.controllers").exists():
            (ROOT / NAME / identity / "cpu.max").write_text(f"{round(cpus * PERIOD)} {PERIOD}", encoding="ascii")
            return True
        pid = (ROOT / "pids" / NAME / identity / "cgroup.procs").read_text(encoding="ascii").split()
        group = ROOT / "cpu" / NAME / identity
        group.mkdir(parents=True, exist_ok=True)
        (group / "cpu.cfs_period_us").write_text(str(PERIOD), encoding="ascii")
        (group / "cpu.cfs_quota_us").write_text(str(round(cpus * PERIOD)), encoding="ascii")
        for number in pid:
            (group / "cgroup.procs").write_text(number, encoding="ascii")
        return True
    return False


def writable() -> bool:
    """Can limits be enforced here?"""
    places = [ROOT] if (ROOT / "cgroup.controllers").exists() else [ROOT / name for name in ("memory", "cpu", "pids")]
    return all(os.access(place / NAME if (place / NAME).exists() else place, os.W_OK) for place in places)


def remove(identity: str) -> None:
    """Remove the groups of a machine that has ended."""
    for place in _places():
        with contextlib.suppress(OSError):
            (place / identity).rmdir()


def sweep(young: float) -> list[str]:
    """Remove groups that nothing runs in, of any store, unless they are younger than `young` seconds; their names."""
    gone = set()
    for place in _places():
        for group in sorted(place.iterdir()) if place.is_dir() else []:
            with contextlib.suppress(OSError):
                if group.is_dir() and time.time() - group.stat().st_mtime > young:
                    group.rmdir()  # fails for one that is used
                    gone.add(group.name)
    return sorted(gone)


def _places() -> list[Path]:
    return [ROOT / NAME, *(ROOT / name / NAME for name in ("memory", "pids", "cpu"))]
