"""How long a build takes on so many workers: by hand for small graphs, by bounds for any."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photonbuild.packages.makespan import Job, Workers, simulate


def job(name: str, seconds: float, *needs: str, **more: int) -> Job:
    return Job(name=name, cpu_seconds=seconds, needs=frozenset(needs), fetches=more)


DIAMOND = [job("a", 10), job("b", 20, "a"), job("c", 30, "a"), job("d", 5, "b", "c"), job("e", 12)]


@pytest.mark.parametrize(("workers", "seconds"), [(1, 77), (2, 45), (3, 45)])
def test_a_small_graph(workers: int, seconds: float) -> None:
    found = simulate(DIAMOND, Workers(count=workers))
    assert found.seconds == pytest.approx(seconds)
    assert found.path == ("a", "c", "d")
    assert found.path_seconds == 45
    assert found.busy == 77


def test_two_workers_by_hand() -> None:
    """a and e at 0; c at 10, the longer of the two; b on the worker that e left at 12; d after c, at 40."""
    assert simulate(DIAMOND[:-1], Workers(count=2)).seconds == pytest.approx(45)
    assert simulate([job("x", 4), job("y", 4), job("z", 4)], Workers(count=2)).seconds == pytest.approx(8)


def test_what_is_longest_goes_first() -> None:
    """Three short ones before a long one would take 3 + 9."""
    jobs = [job("a", 3), job("b", 3), job("c", 3), job("z", 9)]
    assert simulate(jobs, Workers(count=2)).seconds == pytest.approx(9)


def test_a_need_that_is_not_built_is_there() -> None:
    assert simulate([job("a", 3, "glibc")], Workers(count=1)).seconds == pytest.approx(3)


def test_nothing_takes_no_time() -> None:
    found = simulate([], Workers(count=3))
    assert (found.seconds, found.path, found.efficiency(Workers(count=3))) == (0, (), 1.0)


def test_overhead_and_cores() -> None:
    assert simulate([job("a", 10), job("b", 10, "a")], Workers(count=9, overhead=2)).seconds == pytest.approx(24)
    four = Workers(count=1, cores=4, serial=0.2)
    assert simulate([job("a", 10)], four).seconds == pytest.approx(10 * (0.2 + 0.8 / 4))


def test_cores_that_are_shared() -> None:
    """Three builds of one core each on two cores: each goes at two thirds of its speed."""
    jobs = [job("a", 10), job("b", 10), job("c", 10)]
    found = simulate(jobs, Workers(count=3, shared=2))
    assert found.seconds == pytest.approx(15)
    assert found.efficiency(Workers(count=3, shared=2)) == pytest.approx(1)


def test_a_worker_fetches_a_file_once() -> None:
    jobs = [job("a", 10, seed=100, x=5), job("b", 10, seed=100, x=5, y=1), job("c", 1, seed=100)]
    assert simulate(jobs, Workers(count=1)).down == 106
    assert simulate(jobs, Workers(count=2)).down == 211


@st.composite
def graphs(draw: st.DrawFn) -> list[Job]:
    count = draw(st.integers(1, 12))
    seconds = st.floats(0.1, 100)
    jobs = []
    for number in range(count):
        needs = draw(st.sets(st.integers(0, number - 1))) if number else set()
        jobs.append(job(f"n{number}", draw(seconds), *(f"n{other}" for other in sorted(needs))))
    return jobs


# The same on a slow machine: what takes long there is no fault.
@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(graphs(), st.integers(1, 6))
def test_list_scheduling_keeps_its_bounds(jobs: list[Job], count: int) -> None:
    """Graham's bound: never more than the work shared out plus the longest chain; never less than either."""
    found = simulate(jobs, Workers(count=count))
    assert found.seconds >= max(found.path_seconds, found.busy / count) - 1e-6
    assert found.seconds <= found.busy / count + found.path_seconds * (1 - 1 / count) + 1e-6
    assert 0 < found.efficiency(Workers(count=count)) <= 1 + 1e-9
