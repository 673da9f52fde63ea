"""Order, circles and closures, also of graphs that are deeper than Python's stack."""

from __future__ import annotations

import random

from photonbuild.packages.reach import Arrows, circle, closure, components, members, postorder, unions

DEEP = {f"{number:05}": [f"{number - 1:05}"] if number else [] for number in range(5000)}


def arrows(seed: int, size: int) -> dict[str, list[str]]:
    chance = random.Random(seed)
    names = [f"n{number}" for number in range(size)]
    return {name: chance.sample(names, chance.randint(0, 3)) for name in names}


def reached(graph: Arrows) -> dict[str, frozenset[str]]:
    return {name: closure([name], lambda one: graph[one]) for name in graph}


def test_circle_ignores_diamonds() -> None:
    assert circle({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) is None
    assert circle({"a": {"b"}, "b": {"b"}}) == ["b", "b"]
    assert circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]


def test_deep_graphs() -> None:
    assert postorder(DEEP) == list(DEEP)
    assert len(components(DEEP)) == 5000
    assert circle(DEEP) is None
    assert circle({**DEEP, "00000": ["04999"]}) is not None
    assert unions(DEEP, {"00000": 1, "00002": 2})["04999"] == 3


def test_unions_are_closures() -> None:
    for seed in range(60):
        graph = arrows(seed, 30)
        names = sorted(graph)
        found = unions(graph, {name: 1 << number for number, name in enumerate(names)})
        for name in names:
            assert frozenset(members(found[name], names)) == reached(graph)[name]


def test_components_are_what_reach_each_other() -> None:
    for seed in range(60):
        graph = arrows(seed, 30)
        reach = reached(graph)
        groups = components(graph)
        assert sorted(name for group in groups for name in group) == sorted(graph)
        seen: set[str] = set()
        for group in groups:
            seen |= set(group)
            assert all({other for other in reach[name] if name in reach[other]} == set(group) for name in group)
            assert all(set(graph[name]) <= seen for name in group)


def test_postorder_puts_needs_first_and_is_alphabetical() -> None:
    assert postorder({"b": ["z"], "a": ["c"], "c": [], "z": []}) == ["c", "a", "z", "b"]
    assert sorted(postorder({"a": ["b"], "b": ["a"]})) == ["a", "b"]
