"""How long a build would take on so many workers: an estimate, from what each package took when it was measured."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.files import read_sealed
from photonbuild.packages.built import RECORD, Cost
from photonbuild.packages.makespan import Job, Makespan, Workers, simulate
from photonbuild.packages.reach import closure, components
from photonbuild.packages.requirements import Requirements
from photonbuild.pipeline.plan import plan
from photonbuild.pipeline.session import Session
from photonbuild.seeds.lock import read_lock


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """`spans`: the outcome for each number of workers. `unmeasured`: packages that are taken to need the mean of all
    that were measured. `circles`: packages that need each other: an earlier build of one is taken for the other."""

    jobs: Sequence[Job]
    spans: Sequence[tuple[Workers, Makespan]]
    unmeasured: Sequence[str]
    circles: Sequence[str] = ()


def estimate(session: Session, names: Collection[str], workers: Sequence[Workers]) -> Estimate:
    """Of these specs of the checkout, all of which have to be built."""
    sizes = {name: _sizes(session, name) for name in session.graph.closure(names)}
    seed = {"seed": sum(deb["size"] for deb in read_lock(session.config, "build")["packages"])}
    files = {package: size for found in sizes.values() for package, size in found.items()}
    jobs = []
    for name in sorted(names):
        spec, roots = session.specs[name], session.graph.roots[name]
        packages = closure(roots, lambda package: session.graph.inside[package])
        fetches = seed | {package: files[package] for package in sorted(packages) if package in files}
        fetches |= {entry.file: entry.size or 0 for entry in spec.fetched.sources}
        job = Job(
            name=name,
            cpu_seconds=session.costs[name].cpu_seconds,
            needs=session.graph.needs[name],
            fetches=fetches,
            gives=sum(sizes[name].values()),
        )
        jobs.append(job)
    return _estimate(jobs, workers, measured(session), ())


def estimate_tree(
    session: Session, graph: Requirements, seconds: Mapping[str, float], workers: Sequence[Workers]
) -> Estimate:
    """Of a foreign tree of specs; `seconds`: what specs of the same name took here. Nothing is known of its files."""
    needs = {}
    for name in graph.specs:
        roots = [bond.package for bond in graph.build[name] if bond.package not in graph.owned]
        inside = closure(roots, lambda package: [bond.package for bond in graph.run[package]])
        needs[name] = frozenset(graph.maker[package] for package in inside - graph.owned)
    group = {name: number for number, names in enumerate(components(needs)) for name in names}
    jobs = [
        Job(
            name=name,
            cpu_seconds=seconds.get(name, 0.0),
            needs=frozenset(other for other in needs[name] if group[other] != group[name]),
        )
        for name in sorted(needs)
    ]
    circles = sorted(name for name, wanted in needs.items() if any(group[other] == group[name] for other in wanted))
    return _estimate(jobs, workers, seconds, circles)


def rows(found: Estimate) -> list[dict[str, Any]]:
    """A line for each number of workers; times in seconds, sizes in bytes."""
    return [
        {
            "workers": workers.count,
            "cores": workers.cores,
            "seconds": round(span.seconds, 1),
            "efficiency": round(span.efficiency(workers), 3),
            "down": span.down,
            "up": span.up,
        }
        for workers, span in found.spans
    ]


def path(found: Estimate) -> dict[str, float]:
    """The chain of packages that takes longest, each with its seconds on one worker."""
    seconds = {job.name: job.cpu_seconds for job in found.jobs}
    return {name: round(workers.seconds(seconds[name]), 1) for workers, span in found.spans[:1] for name in span.path}


def _estimate(
    jobs: Sequence[Job], workers: Sequence[Workers], seconds: Mapping[str, float], circles: Sequence[str]
) -> Estimate:
    """`seconds`: of all that was measured, among the jobs or not."""
    typical = statistics.fmean(seconds.values()) if seconds else Cost().cpu_seconds
    jobs = [job if job.name in seconds else dataclasses.replace(job, cpu_seconds=typical) for job in jobs]
    return Estimate(
        jobs=jobs,
        spans=[(each, simulate(jobs, each)) for each in workers],
        unmeasured=[job.name for job in jobs if job.name not in seconds],
        circles=circles,
    )


def wanted(session: Session, names: Collection[str], *, cold: bool) -> Collection[str]:
    """Those of the specs, and of what they need, that will or may be built now; with `cold`, all of them."""
    if cold:
        return session.graph.closure(names)
    return [step.spec for step in plan(session, names) if step.state in ("will", "may")]


def measured(session: Session) -> dict[str, float]:
    """CPU seconds of every spec of this checkout that was measured."""
    return {name: cost.cpu_seconds for name, cost in session.costs.items() if cost.measured}


def _sizes(session: Session, name: str) -> dict[str, int]:
    """Bytes of the packages of a spec as they were built last, by name; nothing where it never was."""
    entries: list[Path] = list(session.store.package(name, "key").parent.glob(f"*/{RECORD}"))
    for path in sorted(entries, key=lambda path: (-path.stat().st_mtime_ns, path)):
        if (record := read_sealed(path)) is not None:
            return {package["name"]: package["file_size"] for package in record["packages"]}
    return {}
