"""A session over spec records and made-up builds: no rpm, no sandbox, no seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from photonbuild.config.sources import SourcesFile
from photonbuild.log import Reporter
from photonbuild.packages.build import lookup
from photonbuild.packages.built import Built, load_built
from photonbuild.packages.reach import postorder
from photonbuild.packages.readspecs import ReadSpecs
from photonbuild.packages.spec import make_spec
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.seeds.frozen import FrozenSeed
from photonbuild.store import Store
from tests.support import synthetic

PROJECT = Path(__file__).parents[2]


def fake_session(folder: Path, tree: Mapping[str, synthetic.Record]) -> Session:
    """The project's configuration, these specs, an empty store in `folder`, and a seed that has /bin/sh alone."""
    store = Store.open(folder)
    store.scratch.mkdir(parents=True, exist_ok=True)
    shell = folder / "seed" / "bin" / "sh"
    shell.parent.mkdir(parents=True, exist_ok=True)
    shell.touch()
    session = Session(config=load_config(PROJECT), store=store, reporter=Reporter())
    specs = {name: make_spec(Path("specs") / name, record, SourcesFile(), ()) for name, record in tree.items()}
    seed = FrozenSeed(name="build", digest="0" * 64, root=folder / "seed", elf=frozenset())
    # Both are found out once; here they are known.
    session.__dict__ |= {"seed": seed, "_read": ReadSpecs(specs=specs, broken={}, fresh=frozenset())}
    return session


def fill(session: Session, tree: Mapping[str, synthetic.Record]) -> dict[str, Built]:
    """The store as a build of everything leaves it."""
    done: dict[str, Built] = {}
    for name in postorder(session.graph.needs):
        key, inputs, _ = lookup(session.builder, session.specs[name], done)
        synthetic.write_built(session.store.package(name, key), tree[name], inputs)
        built = load_built(session.store, name, key)
        assert built is not None
        done[name] = built
    return done
