"""A layer of the seed lies where a BuildRequires asks for it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.errors import BuildError
from photonbuild.keys import differences
from photonbuild.packages.build import lookup
from photonbuild.packages.buildroot import build_sandbox
from photonbuild.packages.leaks import check_leaks
from photonbuild.pipeline.session import Session
from photonbuild.seeds.frozen import FrozenSeed
from tests.support import synthetic
from tests.support.fake_session import fake_session

DIGEST, PROGRAM = "1" * 64, "e" * 64


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Two specs, of which the second asks for a program of a layer."""
    tree = dict(zip(("plain", "asks"), synthetic.chain(2).values(), strict=True))
    for name, record in tree.items():
        record |= {"name": name, "packages": [], "build_requires": []}
    found = fake_session(tmp_path, tree)
    name, layer = next(iter(found.config.seeds.layers.items()))
    tree["asks"]["build_requires"] = [synthetic.need(layer.packages[0])]
    found = fake_session(tmp_path, tree)
    found._layers[name] = FrozenSeed(name=name, digest=DIGEST, root=tmp_path / "layer", elf=frozenset([PROGRAM]))
    return found


def test_the_keys_of_others_do_not_know_of_it(session: Session) -> None:
    assert not session.graph.problems
    plain, asks = (lookup(session.builder, session.specs[name], {})[1] for name in ("plain", "asks"))
    (name,) = session._layers
    assert "layers" not in plain
    assert asks["layers"] == {name: DIGEST}
    assert f"layers {name}: absent → {DIGEST[:12]}" in [
        line.replace(DIGEST, DIGEST[:12]) for line in differences({**asks, "layers": {}}, asks)
    ]


def test_the_build_root(session: Session, tmp_path: Path) -> None:
    def layers(name: str) -> list[Path]:
        return list(build_sandbox(session.builder, session.specs[name], [], [], work=tmp_path / "work").layers)

    assert layers("plain") == [session.seed.root]
    assert layers("asks") == [tmp_path / "layer", session.seed.root]


def test_copies_of_its_programs_are_leaks(session: Session) -> None:
    record = {"name": "p", "provides": [], "requires": [], "elf": [["/usr/bin/p", PROGRAM]]}
    check_leaks(session.builder, session.specs["plain"], [record], {})
    with pytest.raises(BuildError, match="byte for byte the seed's"):
        check_leaks(session.builder, session.specs["asks"], [record], {})
