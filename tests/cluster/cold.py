"""A cold `image iso` by one, two and three workers beside one that is built here, all on the cores of this machine.

Not one of the tests, which its name keeps it from being: each of the four takes half an hour and more. For the figures
in docs/performance.md, on a machine that does nothing else:

    tools/run python -m pytest tests/cluster/cold.py -s                   # or with -k 'workers3 or here'
    tools/run python -m pytest tests/cluster/cold.py -s --cheapest 35     # as many of its packages in its place
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import time
from pathlib import Path

import pytest

from photonbuild.pipeline.recipe import image_specs
from photonbuild.pipeline.session import Session
from tests.cluster.conftest import WITHIN, cheapest, digests, estimated, fresh_store, packages_seconds
from tests.support.cluster import cluster

IMAGE = "iso"
TIMINGS = "timings.json"


def busy() -> float:
    """Seconds that the cores of this machine have worked."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system = (int(field) for field in fields[:3])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("workers", [0, 2, 3, 1], ids=["here", "workers2", "workers3", "workers1"])
def test_cold(workers: int, session: Session, programs: Path, place: Path, tmp_path: Path, cheap: int) -> None:
    """Sources and seeds are here, and nothing there. The same bytes come out, after what the estimate says.

    It goes by what each package took in the run without workers, which comes first, or else when it was built here.
    """
    needed = sorted(image_specs(session, IMAGE, session.config.image(IMAGE)))
    names = cheapest(session, cheap, needed) if cheap else needed
    work = ["build", *names] if cheap else ["image", IMAGE]
    checkout, timings = fresh_store(tmp_path / "store", session), place / TIMINGS
    with cluster(programs, place / f"cold{workers}") as made:
        made.start_storage()
        made.start_scheduler()
        for number in range(workers):
            made.start_worker(f"worker{number}")
        started, worked, before = time.monotonic(), busy(), resource.getrusage(resource.RUSAGE_CHILDREN)
        said = checkout.run(*work, "--remote", made.address if workers else "none", "-v").stderr
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        worked = busy() - worked
    packages = packages_seconds(said)
    client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"\n{workers} workers: {seconds:.1f} s, of it packages {packages:.1f}")
    took = cpu_seconds(checkout.store / TIMINGS, names)
    share = took / (os.cpu_count() or 1) / packages
    print(f"CPU seconds of this machine {worked:.0f}, of the client {client:.0f}")
    print(f"CPU seconds of the builds {took:.0f}: {share:.0%} of what there is")
    print(*re.findall(r"\d+ builds by .*", said), sep="\n")
    theirs = digests(checkout.store)
    ours = digests(session.store.root)
    assert theirs and {name: ours.get(name) for name in theirs} == theirs
    print(f"{len(theirs)} packages, source packages and files with the SHA-256 that they have here")
    if workers:
        shutil.copyfile(timings if timings.exists() else session.store.root / TIMINGS, checkout.store / TIMINGS)
        # A machine's speed changes from hour to hour.
        slower = took / cpu_seconds(checkout.store / TIMINGS, names)
        wanted = estimated(checkout, names, workers) * slower
        print(f"estimated {wanted:.1f} s, as a build takes {slower:.2f} times what it took here")
        assert abs(wanted / packages - 1) < WITHIN
    else:
        shutil.copyfile(checkout.store / TIMINGS, timings)
    shutil.rmtree(checkout.store)


def cpu_seconds(timings: Path, names: list[str]) -> float:
    """What the builds of these specs took in all."""
    measured = json.loads(timings.read_text(encoding="utf-8"))
    return float(sum(measured[name]["cpu_seconds"] for name in names))
