"""A build of a package on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from photonbuild.files import write_json
from photonbuild.packages.attempt import Bounds, binds_of, longest, run_build
from photonbuild.packages.buildroot import Builder, build_sandbox, stage_sources
from photonbuild.packages.built import Cost
from photonbuild.packages.package import Package
from photonbuild.packages.spec import Spec
from photonbuild.run import Completed

# What runs a build: it leaves the folders out and keep in a new folder of work, and appends to the log.
Run = Callable[[Builder, Spec, Mapping[str, Package], Path, Path], Completed]


def run_here(builder: Builder, spec: Spec, installed: Mapping[str, Package], work: Path, log: Path) -> Completed:
    """Run rpmbuild in a build root on this machine: out/ gets what it made, keep/ the state of one that failed."""
    stage_sources(builder, spec, work / "sources")
    write_json(work / "plan.json", {"spec": f"{spec.name}.spec"})
    cost = builder.costs.get(spec.name, Cost(measured=False))
    limits = builder.config.user.limits
    bounds = Bounds(
        seconds=longest(cost) if limits.hours is None else 3600 * limits.hours,
        silence=60 * limits.silent_minutes,
        memory=None if limits.memory_gib is None else round(limits.memory_gib * 2**30),
    )
    box = build_sandbox(builder, spec, installed.values(), binds_of(work), work=work)
    return run_build(
        box, work, log, rooms=builder.rooms, cost=cost, jobs=builder.jobs, bounds=bounds, remove=builder.store.remove
    )
