"""What takes how long for a distribution of the size of Photon's, and what of it is deeper than Python's stack."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from photonbuild.errors import BuildError
from photonbuild.packages.build import lookup
from photonbuild.packages.buildroot import MOST_LAYERS, _walk, build_sandbox
from photonbuild.packages.built import Built, load_built
from photonbuild.packages.graph import Graph, build_graph, levels
from photonbuild.packages.offers import Offers
from photonbuild.pipeline.plan import plan
from tests.support import synthetic
from tests.support.fake_session import fake_session, fill
from tests.support.packages import package

SLACK = 4  # wanted: 2 s for all; of this process's own time, on a machine that does other things


def graph_of(tree: dict[str, synthetic.Record], tmp_path: Path) -> Graph:
    specs = fake_session(tmp_path, tree).specs
    return build_graph(specs, seed_capabilities={}, is_owned=lambda name: False)


def test_the_graph_of_1100_specs(tmp_path: Path) -> None:
    tree = synthetic.records(1100, 5000)
    started = time.process_time()
    graph = graph_of(tree, tmp_path)
    assert levels(graph.needs, {})
    assert time.process_time() - started < 0.6 * SLACK
    assert max(map(len, graph.needs.values())) > 800


def test_the_plan_of_a_third_of_them(tmp_path: Path) -> None:
    tree = synthetic.records(366, 1666)
    fill(fake_session(tmp_path, tree), tree)
    session = fake_session(tmp_path, tree)
    started = time.process_time()
    steps = plan(session, tree)
    assert time.process_time() - started < 0.5 * SLACK
    assert {step.state for step in steps} == {"cached"}


def test_a_chain_of_5000(tmp_path: Path) -> None:
    tree = synthetic.chain(5000)
    session = fake_session(tmp_path, tree)
    last = max(tree)
    assert len(session.graph.closure([last])) == 5000
    assert levels(session.graph.needs, dict.fromkeys(tree, 1.0))[min(tree)] == 5000
    steps = plan(session, tree)
    assert [step.spec for step in steps] == sorted(tree)
    assert [step.state for step in steps[:2]] == ["will", "may"]


def test_a_chain_of_requirements(tmp_path: Path) -> None:
    tree = synthetic.chain(1500, runtime=True)
    session = fake_session(tmp_path, tree)
    assert len(session.graph.needs[max(tree)]) == 1499


def test_a_problem_deep_below(tmp_path: Path) -> None:
    tree = synthetic.chain(2000)
    tree[min(tree)]["build_requires"] = [synthetic.need("nothing")]
    session = fake_session(tmp_path, tree)
    assert len(session.graph.blocked([max(tree)])) == 1
    assert {step.state for step in plan(session, tree)} == {"error"}


def vary(tree: dict[str, Any], chance: random.Random) -> None:
    """Capabilities that several packages provide, and requirements that only some choices meet."""
    packages = [package for record in tree.values() for package in record["packages"]]
    for made in chance.sample(packages, len(packages) // 2):
        made["provides"] = [*made["provides"], synthetic.need(f"virtual-{chance.randint(0, 9)}")]
    for made in chance.sample(packages, len(packages) // 6):
        made["requires"] = [*made["requires"], synthetic.need(f"virtual-{chance.randint(0, 9)}")]


@pytest.mark.parametrize("seed", range(12))
def test_the_index_finds_what_a_walk_finds(tmp_path: Path, seed: int) -> None:
    """Whatever the order in which builds are added: each build root is that of a new index, walked through."""
    chance = random.Random(seed)
    tree = synthetic.records(40, 160, seed=seed)
    # Not what the specs declare, but what the builds turn out to provide and to require.
    declared = fake_session(tmp_path, tree)
    graph, real = declared.graph, {name: {**record} for name, record in tree.items()}
    for record in real.values():
        record["packages"] = [dict(package) for package in record["packages"]]
    vary(real, chance)
    done: dict[str, Built] = {}
    certain = 0
    for name in sorted(tree, key=lambda name: len(graph.all_before(name))):
        try:
            _, inputs, installed = lookup(declared.builder, declared.specs[name], done)
        except BuildError as error:
            inputs, installed, failure = {}, {}, str(error)
        else:
            failure = ""
        offers = Offers(is_owned=declared.builder.offers.is_owned, in_seed=declared.builder.offers.in_seed)
        specs = graph.all_before(name)
        offers.add(done, specs)
        try:
            expected: Any = _walk(offers, graph.roots[name], specs, declared.specs[name])
        except BuildError as error:
            assert str(error) == failure
        else:
            assert not failure and set(installed) == expected
            certain += offers.closure(graph.roots[name], specs) is not None
        folder = tmp_path / "packages" / name / "key"
        synthetic.write_built(folder, real[name], inputs)
        built = load_built(declared.store, name, "key")
        assert built is not None
        done[name] = built
    assert certain > 0


@pytest.mark.parametrize(("count", "layers"), [(MOST_LAYERS - 1, MOST_LAYERS), (MOST_LAYERS, 2)])
def test_more_trees_than_an_overlay_takes_are_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, layers: int
) -> None:
    session = fake_session(tmp_path, synthetic.chain(1))
    (spec,) = session.specs.values()
    monkeypatch.setattr("photonbuild.packages.buildroot.merge_trees", lambda store, trees, out: out)
    packages = [package(f"p{number}", tmp_path / "k" / "rpms" / "x.rpm") for number in range(count)]
    box = build_sandbox(session.builder, spec, packages, [], work=tmp_path / "work")
    assert len(box.layers) == layers
    assert box.layers[-1] == session.seed.root
    assert layers > 2 or box.layers[0] == tmp_path / "work" / "merged" / "tree"
