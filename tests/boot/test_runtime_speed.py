"""A container of a local image starts about as fast with each runtime, in the same guest, measured in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import pytest

from photonbuild.machines.guest import put_aci
from tests.support.garden_client import Garden
from tests.support.machines import Guest

pytestmark = [pytest.mark.boot, pytest.mark.long]

RUNS = 5
RATIO = 3.0
IMAGE = "local/speed"


@pytest.fixture(scope="module")
def images_of_box(guest: Guest, box: str) -> Iterator[str]:
    """The box as an image of each runtime; returns the ID of rkt's."""
    guest.ssh(f"tar -C {box} -c . | docker import - {IMAGE}")
    image = guest.out(f"rkt --insecure-options=image fetch --full {put_aci(guest.config)} | tail -n 1")
    yield image
    guest.ssh(f"docker rmi {IMAGE}; rkt gc --grace-period=0s; rkt image rm {image}", check=False)


def seconds_of(guest: Guest, command: str) -> float:
    """How long a command takes in the guest, by the guest's clock, without the way there."""
    script = (
        f"read start rest < /proc/uptime; {command} > /tmp/speed 2>&1; read end rest < /proc/uptime; echo $start $end"
    )
    start, end = guest.out(script).split()
    assert "started" in guest.out("cat /tmp/speed")
    return float(end) - float(start)


def garden_run(garden: Garden, box: str) -> float:
    """Create, run, destroy: what `docker run --rm` does."""
    begun = time.monotonic()
    handle = garden.create({"image": {"uri": box}})
    with garden.run(handle, {"path": "/bin/echo", "args": ["started"], "user": "root"}) as process:
        assert (process.wait(), process.stdout) == (0, b"started\n")
    garden.destroy(handle)
    return time.monotonic() - begun


def test_start(guest: Guest, garden: Garden, box: str, images_of_box: str, capsys: pytest.CaptureFixture[str]) -> None:
    ways: dict[str, Callable[[], float]] = {
        "docker run": lambda: seconds_of(guest, f"docker run --rm {IMAGE} echo started"),
        "rkt run": lambda: seconds_of(
            guest, f"rkt --insecure-options=image run {images_of_box} --exec=/bin/echo -- started"
        ),
        "garden": lambda: garden_run(garden, box),
    }
    for way in ways.values():
        way()  # once for what is read from disk only once
    taken = {name: [] for name in ways}  # type: dict[str, list[float]]
    for _ in range(RUNS):
        for name, way in ways.items():
            taken[name].append(way())
    guest.ssh("rkt gc --grace-period=0s", check=False)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    base = medians["docker run"]
    with capsys.disabled():
        print(f"\n  {'':12}{'median':>9}{'ratio':>8}   runs")
        for name, values in taken.items():
            runs = " ".join(f"{value:.2f}" for value in values)
            print(f"  {name:12}{medians[name]:>7.2f} s{medians[name] / base:>8.2f}   {runs}")
    assert {name: medians[name] / base <= RATIO for name in ways} == dict.fromkeys(ways, True), medians
