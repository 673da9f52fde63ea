"""How long a synthetic tree takes: specs, graph, plan and solve, each on its own, in seconds.

    python -m tests.support.scale FOLDER [SPECS PACKAGES]

FOLDER gets a checkout and a store, which a second call finds filled: what it prints is warm. rpm parses the specs; the
builds are made up. The seeds are those of the real store.
"""

from __future__ import annotations

import contextlib
import graphlib
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from photonbuild.log import Reporter
from photonbuild.packages.build import lookup
from photonbuild.packages.built import Built, load_built
from photonbuild.packages.repo import make_repository
from photonbuild.packages.solve import solve
from photonbuild.paths import default_store
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.plan import plan
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.support import synthetic
from tests.support.packages import package as plain_package
from tests.support.tinyrpm import write_rpm

PROJECT = Path(__file__).parents[2]


@contextlib.contextmanager
def clocked(times: dict[str, float], name: str) -> Iterator[None]:
    started, cpu = time.perf_counter(), time.process_time()
    yield
    times[name], times[f"{name}, CPU"] = time.perf_counter() - started, time.process_time() - cpu


def make_checkout(folder: Path, specs: int, packages: int) -> None:
    """A checkout with this project's configuration, and a store that has nothing but the seeds."""
    root = folder / "checkout"
    synthetic.write_checkout(root, synthetic.records(specs, packages))
    (root / "build").mkdir()
    for name in (
        "macros",
        "distribution.yaml",
        "seed.yaml",
        "signing.yaml",
        *(path.name for path in (PROJECT / "build").glob("*.lock")),
    ):
        (root / "build" / name).symlink_to(PROJECT / "build" / name)
    (root / "build" / "filesystems.yaml").write_text("filesystems: {}\n")
    (root / "build" / "runtimes.yaml").write_text("runtimes: []\n")
    (root / "build" / "profiles").mkdir()
    names = "".join(f"  - {name}-devel\n" for name in sorted(synthetic.records(specs, packages)))
    (root / "build/profiles/default.yaml").write_text(f"name: default\ndescription: all\npackages:\n{names}")
    (root / "user.yaml").write_text("{}\n")
    (folder / "store").mkdir()
    (folder / "store" / "seeds").symlink_to((default_store() / "seeds").resolve())


def open_session(folder: Path) -> Session:
    root = folder / "checkout"
    config = load_config(root, user_file=root / "user.yaml")
    return Session(config=config, store=Store.open(folder / "store"), reporter=Reporter())


def fill(session: Session, tree: dict[str, synthetic.Record]) -> None:
    """The store as a build of everything leaves it."""
    done: dict[str, Built] = {}
    for name in graphlib.TopologicalSorter(session.graph.needs).static_order():
        key, inputs, _ = lookup(session.builder, session.specs[name], done)
        synthetic.write_built(session.store.package(name, key), tree[name], inputs)
        built = load_built(session.store, name, key)
        assert built is not None
        done[name] = built


def fill_repository(folder: Path, tree: dict[str, synthetic.Record]) -> None:
    rpms = folder / "rpms"
    rpms.mkdir()
    files = []
    for record in tree.values():
        for made in synthetic.built_packages(record):
            requires, provides = ([row["name"] for row in made[kind]] for kind in ("requires", "provides"))
            provides.remove(made["name"])
            requires = [name for name in requires if not name.startswith("/")]
            files.append(write_rpm(rpms, made["name"], requires=requires, provides=provides, arch=synthetic.ARCH))
    make_repository(files, folder / "repo", revision=0)
    shutil.rmtree(rpms)


def measure(folder: Path, tree: dict[str, synthetic.Record]) -> dict[str, float]:
    times: dict[str, float] = {}
    session = open_session(folder)
    assert session.seed
    with clocked(times, "specs"):
        assert len(session.specs) == len(tree)
    with clocked(times, "graph"):
        needs = session.graph.needs
    with clocked(times, "plan"):
        steps = plan(session, tree)
    assert {step.state for step in steps} == {"cached"}
    names = [f"{name}-devel" for name in tree]
    nevras = {f"{p['name']}-1.0-1.{synthetic.ARCH}": p["name"] for r in tree.values() for p in r["packages"]}
    known = {nevra: plain_package(name, evr="1.0-1") for nevra, name in nevras.items()}
    with clocked(times, "solve"):
        assert len(solve(folder / "repo", known, names, arch="x86_64")) >= len(names)
    for what in ("", ", CPU"):
        times[f"graph + plan + solve{what}"] = sum(times[f"{name}{what}"] for name in ("graph", "plan", "solve"))
    before = [len(wanted) for wanted in needs.values()]
    mean = statistics.mean(before)
    click.echo(f"{len(tree)} specs, {len(known)} packages; a spec needs {mean:.0f} others, {max(before)} at most")
    return times


def show(times: dict[str, float]) -> None:
    for name, seconds in times.items():
        click.echo(f"{name}: {seconds:.2f} s")


def main() -> None:
    folder = Path(sys.argv[1])
    specs, packages = (int(word) for word in sys.argv[2:4]) if len(sys.argv) > 2 else (1100, 5000)
    tree = synthetic.records(specs, packages)
    if not (folder / "repo").exists():
        make_checkout(folder, specs, packages)
        session = open_session(folder)
        times: dict[str, float] = {}
        with clocked(times, "specs, parsed for the first time"):
            assert session.specs
        fill(session, tree)
        fill_repository(folder, tree)
        show(times)
    show(measure(folder, tree))


if __name__ == "__main__":
    main()
