"""The build root of a package: which packages of ours lie over the seed in it, and its sources."""

from __future__ import annotations

import errno
import fnmatch
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from photonbuild import code
from photonbuild.cache.caches import Caches
from photonbuild.config.load import Config
from photonbuild.config.models import Seeds
from photonbuild.errors import BuildError
from photonbuild.files import copy_file
from photonbuild.keys import key_of
from photonbuild.packages.attempt import ARGV, variables
from photonbuild.packages.built import Built, Cost, tree_of
from photonbuild.packages.graph import Graph
from photonbuild.packages.inputs import BuildEnvironment
from photonbuild.packages.macros import macro_binds, macro_digests
from photonbuild.packages.offers import Offers
from photonbuild.packages.package import Package
from photonbuild.packages.room import Rooms
from photonbuild.packages.spec import Spec
from photonbuild.packages.versions import meets
from photonbuild.sandbox.ids import first_id, give
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds.frozen import FrozenSeed
from photonbuild.sources.fetch import Fetcher, fetch
from photonbuild.sources.local import local_sources
from photonbuild.sources.members import extract
from photonbuild.store import Store

PROGRAM = code.program("photonbuild.packages.inside.build")
MERGE = code.program("photonbuild.packages.inside.merge")
# OVL_MAX_STACK of the kernel, see fs/overlayfs: a mount with more of them is refused.
MOST_LAYERS = 500
# What runs in a build root beside the seed's programs, so that a change of it builds everything again.
RUN_INSIDE = ("photonbuild.packages.inside.build", "photonbuild.sandbox.init")


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Everything that the build of any package needs; shared by all threads. Only the index `offers` grows.

    `layers`: what lies over the seed where these capabilities are asked for.
    """

    config: Config
    store: Store
    seed: FrozenSeed
    graph: Graph
    fetcher: Fetcher
    macros: Sequence[Bind]
    environment: BuildEnvironment
    costs: Mapping[str, Cost]
    jobs: int
    rooms: Rooms
    offers: Offers
    layers: Callable[[Iterable[str]], Sequence[FrozenSeed]]
    caches: Caches

    @classmethod
    def make(
        cls,
        config: Config,
        store: Store,
        seed: FrozenSeed,
        graph: Graph,
        fetcher: Fetcher,
        costs: Mapping[str, Cost],
        *,
        layers: Callable[[Iterable[str]], Sequence[FrozenSeed]],
        jobs: int,
        caches: Caches | None = None,
    ) -> Builder:
        macros = macro_digests(config)
        folder = store.root / "macros" / key_of(macros)
        folder.mkdir(parents=True, exist_ok=True)
        with store.lock("macros"):
            # Of a process that was killed while it wrote.
            for left in folder.glob(".*"):
                left.unlink()
            binds = macro_binds(config, folder)
        epoch = config.distribution.source_date_epoch
        bare = Sandbox(layers=[], scratch=folder, env=variables(epoch))
        environment = BuildEnvironment(
            arch=config.distribution.arch,
            epoch=epoch,
            macros=macros,
            seed=seed.digest,
            code=code.digests(RUN_INSIDE),
            sandbox=bare.inputs(ARGV),
        )
        return cls(
            config=config,
            store=store,
            seed=seed,
            graph=graph,
            fetcher=fetcher,
            costs=costs,
            jobs=jobs,
            rooms=Rooms(),
            offers=Offers(is_owned=config.seeds.is_owned, in_seed=partial(seed_provides, config.seeds, seed)),
            layers=layers,
            macros=binds,
            environment=environment,
            caches=caches if caches is not None else Caches(store=store),
        )

    def layers_of(self, spec: Spec) -> Sequence[FrozenSeed]:
        """What lies over the seed in the build root of a spec, uppermost first."""
        return self.layers(need.name for need in spec.build_requires)


def installed_packages(builder: Builder, spec: Spec, done: Mapping[str, Built]) -> dict[str, Package]:
    """The build root's packages: BuildRequires and what those require, from the specs that `spec` declares it needs.

    Raises BuildError when something required is provided neither by them nor by the seed, or is what the spec conflicts
    with.
    """
    names = builder.graph.all_before(spec.name)
    found = with_requirements(builder, builder.graph.roots[spec.name], done, spec, names)
    for conflict in spec.build_conflicts:
        for package in found.values():
            if meets(package.provides, conflict):
                raise BuildError(f"BuildConflicts: {conflict} is in the build root: {package.name}", where=spec.where)
    return found


def with_requirements(
    builder: Builder,
    capabilities: Sequence[str],
    done: Mapping[str, Built],
    spec: Spec,
    among: frozenset[str] | None = None,
) -> dict[str, Package]:
    """The packages of these builds that provide the capabilities, and those that they require in turn.

    Packages that the seed owns stay out, and all but those of the specs `among`, where these are named. `spec` is named
    in messages. Raises BuildError.
    """
    offers, specs = builder.offers, frozenset(done) if among is None else among
    offers.add(done, specs)
    names = offers.closure(capabilities, specs)
    if names is None:
        names = _walk(offers, capabilities, specs, spec)
    return offers.packages(names)


def _walk(offers: Offers, capabilities: Sequence[str], specs: frozenset[str], spec: Spec) -> set[str]:
    """The same, each capability looked up among the builds of exactly these specs."""
    found: set[str] = set()
    seen: set[str] = set()
    todo = [(name, spec.name) for name in capabilities]
    while todo:
        capability, user = todo.pop()
        if capability in seen:
            continue
        seen.add(capability)
        provider = offers.provider(capability, specs)
        if provider is None and not offers.seed_provides(capability):
            provider = offers.holder(capability, specs) if capability.startswith("/") else None
            if provider is None:
                raise BuildError(
                    f"{user} requires {capability}, which nothing in the build root of {spec.name} provides",
                    where=spec.where,
                    hint="add a BuildRequires for the package that has it",
                )
        if provider is not None and provider not in found:
            found.add(provider)
            todo += [(need.name, provider) for need in offers.packages([provider])[provider].requires]
    return found


def seed_provides(seeds: Seeds, seed: FrozenSeed, capability: str) -> bool:
    """Is this capability one that the seed stands for: a file of it, its toolchain's libraries, a package it owns?"""
    if capability.startswith("/"):
        return seed.holds(capability)
    if seeds.is_owned(capability):
        return True
    return any(fnmatch.fnmatchcase(capability, pattern) for pattern in seeds.toolchain)


def build_sandbox(
    builder: Builder,
    spec: Spec,
    installed: Iterable[Package],
    binds: Sequence[Bind],
    *,
    work: Path,
) -> Sandbox:
    """The build root of a package: the extracted trees of its dependencies over the seed.

    `work` is a folder of the store, which outlives the sandbox: where there are more trees than an overlay takes, it
    gets one that all of them are merged into.
    """
    trees = [tree_of(package) for package in installed]
    layers = [layer.root for layer in builder.layers_of(spec)]
    if len(trees) + len(layers) >= MOST_LAYERS:
        trees = [merge_trees(builder.store, trees, work / "merged" / "tree")]
    return Sandbox(
        layers=[*trees, *layers, builder.seed.root],
        scratch=builder.store.scratch,
        binds=[*builder.macros, Bind(PROGRAM, "/build.py"), *binds],
        env={**variables(builder.environment.epoch), "PHOTONBUILD_JOBS": str(builder.jobs)},
    )


def merge_trees(store: Store, trees: Sequence[Path], out: Path) -> Path:
    """One tree of all, the first uppermost, by hard links: it takes no room to speak of."""
    if out.parent.exists():
        store.remove(out.parent)
    out.parent.mkdir()
    give(out.parent, first_id())
    # Hard links need both ends on one mount: all of the store.
    whole = Bind(store.root, str(store.root.absolute()), readonly=False, links=True, give=False)
    box = store.host_sandbox()
    box = replace(box, binds=[*box.binds, whole, Bind(MERGE, "/merge.py")])
    folders = json.dumps([str(tree.absolute()) for tree in trees]).encode()
    box.run(["python3", "-I", "/merge.py", str(out.absolute())], input=folders, error=BuildError)
    return out


def stage_sources(builder: Builder, spec: Spec, folder: Path, *, writable: bool = False) -> None:
    """Copy or pack local sources, and link fetched ones, into a folder that becomes SOURCES.

    A link is the file of the store itself: where the folder is `writable` for what runs in it, they are copied.
    """
    folder.mkdir()
    config = builder.config
    rebuild = config.rebuilds.get(spec.name, 0)
    for local in local_sources(spec.folder, spec.fetched, rebuild=rebuild, roots=config.roots):
        local.write(folder / local.name)
    for entry in spec.fetched.sources:
        source = fetch(builder.fetcher, spec.folder, entry)
        if entry.members:
            extract(source, entry.members, folder, where=config.roots.where(spec.folder / "sources.yaml"))
        elif writable or not _link(source, folder / entry.file):
            copy_file(source, folder / entry.file)


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False
    return True
