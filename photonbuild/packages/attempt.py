"""One run of rpmbuild within its limits, in memory or on disk, and what it may leave."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from photonbuild.errors import BuildError
from photonbuild.packages.buildroot import ARGV, Builder, build_sandbox
from photonbuild.packages.built import Cost
from photonbuild.packages.package import Package
from photonbuild.packages.spec import Spec
from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind

# Seconds after which a build is stopped: these plus so many times what it took before; if that is not known, a day.
LONGEST, SLOWEST, UNKNOWN = 1800.0, 10.0, 86400.0


def run_build(
    builder: Builder, spec: Spec, installed: Iterable[Package], binds: Sequence[Bind], work: Path, log: Path
) -> Completed:
    """Run rpmbuild in a build root in memory; where that is too small, or was never measured to fit, on disk."""
    cost = builder.costs.get(spec.name, Cost(measured=False))
    limits = builder.config.user.limits
    longest = LONGEST + SLOWEST * cost.cpu_seconds if cost.measured else UNKNOWN
    memory = builder.rooms.limit(cost, builder.jobs) if limits.memory_gib is None else round(limits.memory_gib * 2**30)
    with builder.rooms.reserve(round(cost.scratch_bytes * 1.25)) as in_memory:
        for upper in (None, work / "upper") if in_memory else (work / "upper",):
            if upper is not None:
                upper.mkdir()
            size = round(memory * 0.75) >> 10
            sandbox = build_sandbox(builder, spec, installed, binds, upper, work=work, tmpfs_size=f"{size}k")
            done = sandbox.run(
                ARGV,
                log=log,
                silence=60 * limits.silent_minutes,
                timeout=longest if limits.hours is None else 3600 * limits.hours,
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
            memory = builder.rooms.limit(Cost(), builder.jobs) if limits.memory_gib is None else memory
            for bind in binds:
                if not bind.readonly:
                    builder.store.remove(bind.source)
                    bind.source.mkdir()
    raise AssertionError("the last attempt returns")


def inspect_results(out: Path, spec: Spec) -> None:
    """A build may leave files and folders of known names, and trees. Raises BuildError for anything else.

    What is read here is read on the host: a link would lead to the host's files.
    """
    allowed = {"meta.json", "rpms", "srpms", "trees"}
    found = [path for path in out.iterdir() if path.name not in allowed]
    for name in ("meta.json", "rpms", "srpms", "trees"):
        path = out / name
        inside = path.iterdir() if path.is_dir() and not path.is_symlink() and name != "trees" else ()
        found += [file for file in inside if not stat.S_ISREG(file.lstat().st_mode)]
        kind = path.lstat().st_mode if os.path.lexists(path) else 0
        if not (stat.S_ISREG(kind) if name == "meta.json" else stat.S_ISDIR(kind)):
            found.append(path)
    if found:
        raise BuildError(
            f"the build of {spec.name} left what is no result: {', '.join(sorted(path.name for path in found))}",
            where=spec.where,
            hint="results are made from the packages alone: nothing may write to /out",
        )
