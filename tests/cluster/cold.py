"""A cold `image iso` by one, two and three workers beside one that is built here, all on the cores of this machine.

Not one of the tests, which its name keeps it from being: each of the four takes half an hour and more. For the figures
in docs/performance.md, on a machine that does nothing else:

    tools/run python -m pytest tests/cluster/cold.py -s                   # or with -k 'workers3 or here'
    tools/run python -m pytest tests/cluster/cold.py -s --cheapest 35     # as many packages in place of the image
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

from photonbuild.pipeline.recipe import image_specs
from photonbuild.pipeline.session import Session
from tests.cluster.conftest import cheapest, digests, fresh_store
from tests.support.cluster import cluster

# Seconds of a core that a build takes on a worker besides; estimate and run differ by no more than the share.
OVERHEAD, WITHIN = 1.0, 0.15
IMAGE = "iso"


def busy() -> float:
    """Seconds that the cores of this machine have worked."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system = (int(field) for field in fields[:3])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("workers", [0, 2, 3, 1], ids=["here", "workers2", "workers3", "workers1"])
def test_cold(workers: int, session: Session, programs: Path, place: Path, tmp_path: Path, cheap: int) -> None:
    """Sources and seeds are here, and nothing there. The same bytes come out, after what the estimate says."""
    image = session.config.image(IMAGE)
    names = cheapest(session, cheap) if cheap else sorted(image_specs(session, IMAGE, image))
    work = ["build", *names] if cheap else ["image", IMAGE]
    cores, checkout = os.cpu_count() or 1, fresh_store(tmp_path / "store", session)
    with cluster(programs, place / f"cold{workers}") as made:
        made.start_storage()
        made.start_scheduler()
        for number in range(workers):
            made.start_worker(f"worker{number}")
        started, worked, before = time.monotonic(), busy(), resource.getrusage(resource.RUSAGE_CHILDREN)
        said = checkout.run(*work, "--remote", made.address if workers else "none", "-v").stderr
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        worked = busy() - worked
    phase = re.search(r"^packages: ([0-9.]+) s$", said, re.MULTILINE)
    assert phase, said
    packages, client = float(phase[1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"\n{workers} workers: {seconds:.1f} s, of it packages {packages:.1f}")
    print(f"CPU seconds of this machine {worked:.0f}, of the client {client:.0f}")
    print(*re.findall(r"\d+ builds by .*", said), sep="\n")
    theirs = digests(checkout.store)
    ours = digests(session.store.root)
    assert theirs and {name: ours.get(name) for name in theirs} == theirs
    print(f"{len(theirs)} packages, source packages and files with the SHA-256 that they have here")
    if workers:
        each = ["--worker-cores", str(max(1, cores // workers)), "--shared-cores", str(cores)]
        # By what each package took when it was built here.
        here = replace(checkout, store=session.store.root)
        words = ["plan", *names, "--cold", "--workers", str(workers), *each, "--overhead", str(OVERHEAD), "--json"]
        estimated = json.loads(here.run(*words).stdout)["workers"][0]["seconds"]
        print(f"estimated {estimated:.1f} s")
        assert abs(estimated / packages - 1) < WITHIN
    shutil.rmtree(checkout.store)
