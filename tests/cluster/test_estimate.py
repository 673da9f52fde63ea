"""`plan --workers` against real runs of two and three workers, on a machine that does nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from photonbuild.pipeline.session import Session
from tests.cluster.conftest import Client
from tests.cluster.test_builds import REAL
from tests.integration.conftest import Checkout, make_checkout
from tests.support.cluster import cluster

# Seconds that a build takes on a worker besides: inputs out, results home, see docs/performance.md.
OVERHEAD = 1.0
WITHIN = 0.15


def fresh(project: Path, folder: Path, session: Session) -> Checkout:
    """A store with the seeds and sources of the real one, and no package."""
    folder.mkdir()
    for shared in ("seeds", "sources", "specs"):
        (folder / shared).symlink_to(session.store.root / shared)
    (folder / "user.yaml").write_text("{}\n", encoding="utf-8")
    return Checkout(root=project, store=folder)


def run(checkout: Checkout, *words: str) -> subprocess.CompletedProcess[str]:
    argv = checkout.argv(*words)
    argv[argv.index("--config") + 1] = str(checkout.store / "user.yaml")
    return checkout._run(argv, 0)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_estimate(
    workers: int, session: Session, programs: Path, place: Path, tmp_path: Path, seeded_store: Path
) -> None:
    """The cheapest specs; what each takes is measured here first, one at a time."""
    cost = {name: session.costs[name].cpu_seconds for name in session.specs}
    total = {name: sum(cost[other] for other in session.graph.closure([name])) for name in session.specs}
    names = sorted(total, key=lambda name: (total[name], name))[:REAL]
    project, cores = Path(__file__).parents[2], os.cpu_count() or 1
    here = fresh(project, tmp_path / "here", session)
    run(here, "build", *names, "--jobs", "1")
    shared = ["--shared-cores", str(cores)] if workers > cores else []
    words = ["plan", *names, "--cold", "--workers", str(workers), "--overhead", str(OVERHEAD), "--json", *shared]
    (row,) = json.loads(run(here, *words).stdout)["workers"]
    with cluster(programs, place / f"estimate{workers}") as made:
        made.start_storage()
        made.start_scheduler()
        for number in range(workers):
            made.start_worker(f"worker{number}")
        # Every worker has the seed before anything is measured.
        Client(make_checkout(tmp_path / "client", seeded_store), made.address).build()
        there = fresh(project, tmp_path / "there", session)
        found = run(there, "build", *names, "--remote", made.address, "-v").stderr
    match = re.search(r"^packages: ([0-9.]+) s$", found, re.MULTILINE)
    assert match, found
    real = float(match[1])
    print(f"\n{workers} workers: estimated {row['seconds']:.1f} s, took {real:.1f} s")
    assert abs(row["seconds"] / real - 1) < WITHIN
