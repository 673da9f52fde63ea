"""Control groups of machines, version 1 or 2, where they can be written. See cgroups(7).

A machine cannot use more memory than it has; the group also bounds what QEMU itself uses, its processor time and its
threads.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from pico.vm.qemu import Hardware

ROOT = Path("/sys/fs/cgroup")
NAME = "photonbuild"
# What QEMU may use beside the guest's memory, in MiB.
OVERHEAD = 256
# Threads beside the guest's processors: QEMU's pool for files has up to 64, and one that cannot be started aborts it;
# the rest is for its own and the process of the network.
THREADS = 64 + 32
PERIOD = 100_000
CONTROLLERS = ("memory", "pids", "cpu")


def create(identity: str, hardware: Hardware, cpus: float | None) -> list[Path]:
    """The groups of a machine, made now, for its QEMU to join; [] where none can be made, see `problem`."""
    with contextlib.suppress(OSError):
        return _version2(identity, hardware, cpus) if _unified() else _version1(identity, hardware, cpus)
    remove(identity)
    return []


def problem() -> str | None:
    """Why limits cannot be enforced here; None when they can."""
    try:
        if _unified():
            _parent()
        else:
            for name in CONTROLLERS:
                (ROOT / name / NAME).mkdir(exist_ok=True)
    except OSError as exc:
        return f"{exc.filename or ROOT}: {exc.strerror}"
    return None


def _unified() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def _parent() -> Path:
    """The group of all machines, whose children have the controllers. In a container that is often refused."""
    parent = ROOT / NAME
    parent.mkdir(exist_ok=True)
    for folder in (ROOT, parent):
        control = folder / "cgroup.subtree_control"
        if not set(CONTROLLERS) <= set(control.read_text(encoding="ascii").split()):
            control.write_text(" ".join(f"+{name}" for name in CONTROLLERS), encoding="ascii")
    return parent


def _limits(hardware: Hardware) -> tuple[int, int]:
    """Bytes of memory, and threads."""
    return (hardware.memory + OVERHEAD) << 20, hardware.cpus + THREADS


def _version2(identity: str, hardware: Hardware, cpus: float | None) -> list[Path]:
    group = _parent() / identity
    group.mkdir(exist_ok=True)
    memory, threads = _limits(hardware)
    (group / "memory.max").write_text(str(memory), encoding="ascii")
    (group / "pids.max").write_text(str(threads), encoding="ascii")
    if cpus is not None:
        (group / "cpu.max").write_text(f"{round(cpus * PERIOD)} {PERIOD}", encoding="ascii")
    return [group]


def _version1(identity: str, hardware: Hardware, cpus: float | None) -> list[Path]:
    memory, threads = _limits(hardware)
    limits = {
        "memory": {"memory.limit_in_bytes": memory},
        "pids": {"pids.max": threads},
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


def of(identity: str) -> list[Path]:
    """The groups that a machine has."""
    return [place / identity for place in _places() if (place / identity).is_dir()]


def own(stranger: int | None) -> list[Path] | None:
    """Our own groups where they are others than those of the process `stranger`: into them goes what it forks for us.

    None when one of them may not be written.
    """
    ours, theirs = _membership("self"), _membership(str(stranger))
    places = [place for name, place in ours.items() if theirs.get(name) != place]
    return places if all(os.access(place / "cgroup.procs", os.W_OK) for place in places) else None


def _membership(process: str) -> dict[str, Path]:
    """The groups of a process by hierarchy, see cgroups(7)."""
    found = {}
    try:
        lines = Path("/proc", process, "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in lines:
        _, names, path = line.split(":", 2)
        mounts = [ROOT / name for name in (names, names.removeprefix("name="))] if names else [ROOT / "unified", ROOT]
        mount = next((mount for mount in mounts if (mount / "cgroup.procs").exists()), None)
        if mount is not None:
            found[names] = mount / path.lstrip("/")
    return found


def restrict(identity: str, cpus: float) -> bool:
    """Bound the processor time of a machine that runs already; False where that cannot be done."""
    with contextlib.suppress(OSError):
        if _unified():
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
    return [ROOT / NAME, *(ROOT / name / NAME for name in CONTROLLERS)]
