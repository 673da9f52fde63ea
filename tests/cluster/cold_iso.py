"""A cold `image iso` by workers beside one that is built here, all on the cores of this machine: half an hour each.

Not one of the tests, which its name keeps it from being. For the figures in docs/performance.md:

    tools/run python -m pytest tests/cluster/cold_iso.py -s            # or with -k 'workers2 or here'
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.files import sha256_of
from photonbuild.pipeline.session import Session
from tests.cluster.conftest import fresh_store
from tests.support.cluster import cluster

# Seconds of a core that a build takes on a worker besides, as in test_estimate.py; estimate and run differ by no more.
OVERHEAD, WITHIN = 1.0, 0.15


def busy() -> float:
    """Seconds that the cores of this machine have worked."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system = (int(field) for field in fields[:3])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("workers", [0, 2, 3, 1], ids=["here", "workers2", "workers3", "workers1"])
def test_cold_iso(workers: int, session: Session, programs: Path, place: Path, iso: Path, tmp_path: Path) -> None:
    """Sources and seed are here, and nothing there. The same bytes come out, after what the estimate says."""
    cores = os.cpu_count() or 1
    checkout = fresh_store(tmp_path / "store", session)
    with cluster(programs, place / f"cold{workers}") as made:
        made.start_storage()
        made.start_scheduler()
        for number in range(workers):
            made.start_worker(f"worker{number}")
        started, worked, client = time.monotonic(), busy(), resource.getrusage(resource.RUSAGE_CHILDREN)
        said = checkout.run("image", "iso", "--remote", made.address if workers else "none", "-v").stderr
        seconds, ended = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        worked = busy() - worked
    phase = re.search(r"^packages: ([0-9.]+) s$", said, re.MULTILINE)
    assert phase, said
    packages, digest = float(phase[1]), sha256_of(iso)
    print(f"\n{workers} workers: {seconds:.0f} s, of it packages {packages:.0f}; {worked:.0f} s of {cores} cores")
    print(f"client {ended.ru_utime + ended.ru_stime - client.ru_utime - client.ru_stime:.0f} CPU s")
    print(*re.findall(r"\d+ builds by .*", said), f"sha256 {digest}", sep="\n")
    assert [sha256_of(path) for path in (checkout.store / "images").glob("iso/*/**/*.iso")] == [digest]
    if workers:
        names = sorted(path.name for path in (checkout.store / "packages").iterdir())
        words = ["--workers", str(workers), "--worker-cores", str(cores), "--shared-cores", str(cores)]
        # By what each package took when it was built here.
        here = replace(checkout, store=session.store.root)
        told = here.run("plan", *names, "--cold", *words, "--overhead", str(OVERHEAD), "--json").stdout
        estimated = json.loads(told)["workers"][0]["seconds"]
        print(f"estimated {estimated:.0f} s for {len(names)} specs")
        assert abs(estimated / packages - 1) < WITHIN
    shutil.rmtree(checkout.store)
