"""`plan --workers` against real runs of one to three workers, on a machine that does nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.pipeline.session import Session
from tests.cluster.conftest import WITHIN, Client, cheapest, estimated, fresh_store, packages_seconds
from tests.cluster.test_builds import REAL
from tests.integration.conftest import make_checkout
from tests.support.cluster import cluster


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_estimate(
    workers: int, session: Session, programs: Path, place: Path, tmp_path: Path, seeded_store: Path
) -> None:
    """The cheapest specs; what each takes is measured here first, one at a time."""
    names = cheapest(session, REAL)
    here = fresh_store(tmp_path / "here", session)
    here.run("build", *names, "--jobs", "1")
    wanted = estimated(here, names, workers)
    with cluster(programs, place / f"estimate{workers}") as made:
        made.start_storage()
        made.start_scheduler()
        for number in range(workers):
            made.start_worker(f"worker{number}")
        # Every worker has the seed before anything is measured.
        Client(make_checkout(tmp_path / "client", seeded_store), made.address).build()
        there = fresh_store(tmp_path / "there", session)
        found = there.run("build", *names, "--remote", made.address, "-v").stderr
    real = packages_seconds(found)
    print(f"\n{workers} workers: estimated {wanted:.1f} s, took {real:.1f} s")
    assert abs(wanted / real - 1) < WITHIN
