"""`plan --workers` against real runs of one to three workers, on a machine that does nothing else."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from photonbuild.pipeline.session import Session
from tests.cluster.conftest import Client, cheapest, fresh_store
from tests.cluster.test_builds import REAL
from tests.integration.conftest import make_checkout
from tests.support.cluster import cluster

# Seconds that a build takes on a worker besides: inputs out, results home, see docs/performance.md.
OVERHEAD = 1.0
WITHIN = 0.15


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_estimate(
    workers: int, session: Session, programs: Path, place: Path, tmp_path: Path, seeded_store: Path
) -> None:
    """The cheapest specs; what each takes is measured here first, one at a time."""
    names = cheapest(session, REAL)
    here, cores = fresh_store(tmp_path / "here", session), os.cpu_count() or 1
    here.run("build", *names, "--jobs", "1")
    each = ["--worker-cores", str(max(1, cores // workers)), "--shared-cores", str(cores)]
    words = ["plan", *names, "--cold", "--workers", str(workers), "--overhead", str(OVERHEAD), "--json", *each]
    (row,) = json.loads(here.run(*words).stdout)["workers"]
    with cluster(programs, place / f"estimate{workers}") as made:
        made.start_storage()
        made.start_scheduler()
        for number in range(workers):
            made.start_worker(f"worker{number}")
        # Every worker has the seed before anything is measured.
        Client(make_checkout(tmp_path / "client", seeded_store), made.address).build()
        there = fresh_store(tmp_path / "there", session)
        found = there.run("build", *names, "--remote", made.address, "-v").stderr
    match = re.search(r"^packages: ([0-9.]+) s$", found, re.MULTILINE)
    assert match, found
    real = float(match[1])
    print(f"\n{workers} workers: estimated {row['seconds']:.1f} s, took {real:.1f} s")
    assert abs(row["seconds"] / real - 1) < WITHIN
