"""One run of rpmbuild within its limits, in memory or on disk, and what it may leave: on whatever machine it runs.

Standard library only: workers of an engine run this file as it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from photonbuild.errors import BuildError
from photonbuild.packages.built import Cost
from photonbuild.packages.room import Rooms
from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind, Sandbox

# On failure the state of the build is saved for `photonbuild shell`: the overlay itself is gone with the sandbox.
SCRIPT = "python3 -I /build.py /plan.json; code=$?; [ $code = 0 ] || cp -a /build /keep/; exit $code"
ARGV = ("bash", "-c", SCRIPT)
# Seconds after which a build is stopped: these plus so many times what it took before; if that is not known, a day.
LONGEST, SLOWEST, UNKNOWN = 1800.0, 10.0, 86400.0
RESULTS = ("meta.json", "rpms", "srpms", "trees")


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a build may take: seconds in all and without output, bytes of memory (by what it took before if None)."""

    seconds: float
    silence: float
    memory: int | None = None


def variables(epoch: int) -> dict[str, str]:
    """The environment of every build, but for the number of cores, on which no result may depend."""
    return {"HOME": "/build", "SOURCE_DATE_EPOCH": str(epoch)}


def longest(cost: Cost) -> float:
    """Seconds after which a build is stopped, unless its user says how many."""
    return LONGEST + SLOWEST * cost.cpu_seconds if cost.measured else UNKNOWN


def binds_of(work: Path) -> list[Bind]:
    """What a build root has of a folder with sources/ and plan.json: these, and where results and failures go."""
    for name in ("out", "keep"):
        (work / name).mkdir()
    return [
        Bind(work / "sources", "/sources"),
        Bind(work / "plan.json", "/plan.json"),
        Bind(work / "out", "/out", readonly=False, links=True),
        Bind(work / "keep", "/keep", readonly=False, links=True),
    ]


def run_build(
    box: Sandbox,
    work: Path,
    log: Path,
    *,
    rooms: Rooms,
    cost: Cost,
    jobs: int,
    bounds: Bounds,
    remove: Callable[[Path], None],
) -> Completed:
    """Run rpmbuild in a build root in memory; where that is too small, or was never measured to fit, on disk.

    `box` is the build root with all that is bound; `work` takes its disk; `remove` removes what a sandbox wrote.
    """
    memory = rooms.limit(cost, jobs) if bounds.memory is None else bounds.memory
    with rooms.reserve(round(cost.scratch_bytes * 1.25)) as in_memory:
        for upper in (None, work / "upper") if in_memory else (work / "upper",):
            if upper is not None:
                upper.mkdir()
            size = round(memory * 0.75) >> 10
            done = replace(box, upper=upper, tmpfs_size=f"{size}k").run(
                ARGV,
                log=log,
                silence=bounds.silence,
                timeout=bounds.seconds,
                memory=memory,
                keeps=True,
                check=False,
                error=BuildError,
            )
            full = done.scratch_bytes > 0.9 * (size << 10)
            if not done.returncode or upper is not None or not (done.out_of_memory or full):
                return done
            with log.open("a", encoding="utf-8") as handle:
                handle.write("# the build root does not fit into memory: once more, on disk\n")
            memory = rooms.limit(Cost(), jobs) if bounds.memory is None else memory
            for bind in box.binds:
                if not bind.readonly:
                    remove(bind.source)
                    bind.source.mkdir()
    raise AssertionError("the last attempt returns")


def inspect_results(out: Path, name: str, *, where: str | None = None) -> None:
    """A build may leave files and folders of known names, and trees. Raises BuildError for anything else.

    What is read here is read on the host: a link would lead to the host's files.
    """
    found = [path for path in out.iterdir() if path.name not in RESULTS]
    for result in RESULTS:
        path = out / result
        inside = path.iterdir() if path.is_dir() and not path.is_symlink() and result != "trees" else ()
        found += [file for file in inside if not stat.S_ISREG(file.lstat().st_mode)]
        kind = path.lstat().st_mode if os.path.lexists(path) else 0
        if not (stat.S_ISREG(kind) if result == "meta.json" else stat.S_ISDIR(kind)):
            found.append(path)
    if found:
        raise BuildError(
            f"the build of {name} left what is no result: {', '.join(sorted(path.name for path in found))}",
            where=where,
            hint="results are made from the packages alone: nothing may write to /out",
        )
