"""Lanes, the critical path and busy cores of builds; rectangles of a tree map."""

from __future__ import annotations

import itertools
import random

import pytest

from photonbuild.report.record import Work
from photonbuild.report.timeline import busy_cores, critical_path, lanes
from photonbuild.report.treemap import treemap


def work(name: str, begin: float, end: float, *needs: str, cached: bool = False, cpu: float = 0.0) -> Work:
    return Work(name=name, begin=begin, end=end, cached=cached, ok=True, cpu_seconds=cpu, needs=needs, why=())


def test_builds_share_a_lane_only_one_after_another() -> None:
    works = [work("a", 0, 4), work("b", 1, 2), work("c", 2, 3), work("d", 4, 5)]
    assert [[each.name for each in lane] for lane in lanes(works)] == [["a", "d"], ["b", "c"]]
    assert lanes([]) == []


def test_the_critical_path_is_the_longest_chain() -> None:
    works = [work("a", 0, 5), work("b", 0, 1), work("c", 1, 9, "b"), work("d", 9, 10, "a", "c"), work("e", 0, 9.5)]
    assert [each.name for each in critical_path(works)] == ["b", "c", "d"]
    assert critical_path([]) == []


def test_what_was_in_the_store_is_passed_through() -> None:
    works = [work("a", 0, 5), work("b", 5, 5, "a", cached=True), work("c", 5, 6, "b")]
    assert [each.name for each in critical_path(works)] == ["a", "c"]


def test_busy_cores_hold_all_cpu_seconds() -> None:
    works = [work("a", 0, 4, cpu=8.0), work("b", 2, 3, cpu=0.5)]
    load = busy_cores(works, begin=0, end=4, steps=8)
    assert load == [2.0, 2.0, 2.0, 2.0, 2.5, 2.5, 2.0, 2.0]
    assert busy_cores([], begin=0, end=0, steps=3) == [0, 0, 0]


@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_rectangles_fill_the_box_without_overlap(count: int) -> None:
    chance = random.Random(count)
    values = [chance.expovariate(1.0) + 0.01 for _ in range(count)]
    found = treemap(values, width=300, height=200)
    assert sorted(each.index for each in found) == list(range(count))
    for each in found:
        assert each.width * each.height == pytest.approx(values[each.index] / sum(values) * 60000)
        assert each.x >= -1e-6 and each.y >= -1e-6
        assert each.x + each.width <= 300 + 1e-6 and each.y + each.height <= 200 + 1e-6
    for one, other in itertools.combinations(found, 2):
        across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
        down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
        assert across < 1e-6 or down < 1e-6


def test_nothing_has_no_rectangle() -> None:
    assert treemap([], width=10, height=10) == [] and treemap([0, 0], width=10, height=10) == []
