"""The build root of a package: which packages of ours lie over the seed in it, and its sources."""

from __future__ import annotations

import errno
import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild import code
from photonbuild.config.load import Config
from photonbuild.errors import BuildError
from photonbuild.files import copy_file
from photonbuild.keys import key_of
from photonbuild.packages.built import Built, Cost, tree_of
from photonbuild.packages.graph import Graph
from photonbuild.packages.inputs import BuildEnvironment
from photonbuild.packages.macros import macro_binds, macro_digests
from photonbuild.packages.package import Package
from photonbuild.packages.spec import Spec
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds.seed import FrozenSeed
from photonbuild.sources.fetch import Fetcher, fetch
from photonbuild.sources.local import local_sources
from photonbuild.store import Store

PROGRAM = code.program("photonbuild.packages.inside.build")
# What runs in a build root beside the seed's programs, so that a change of it builds everything again.
RUN_INSIDE = ("photonbuild.packages.inside.build", "photonbuild.sandbox.init")
# On failure the state of the build is saved for `photonbuild shell`: the overlay itself is gone with the sandbox.
SCRIPT = "python3 -I /build.py /plan.json; code=$?; [ $code = 0 ] || cp -a /build /keep/; exit $code"
ARGV = ("bash", "-c", SCRIPT)


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Everything that the build of any package needs; shared by all threads, never changed."""

    config: Config
    store: Store
    seed: FrozenSeed
    graph: Graph
    fetcher: Fetcher
    macros: Sequence[Bind]
    environment: BuildEnvironment
    costs: Mapping[str, Cost]
    jobs: int

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
        jobs: int,
    ) -> Builder:
        macros = macro_digests(config)
        folder = store.root / "macros" / key_of(macros)
        folder.mkdir(parents=True, exist_ok=True)
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
            macros=macro_binds(config, folder),
            environment=environment,
        )


def installed_packages(builder: Builder, spec: Spec, done: Mapping[str, Built]) -> dict[str, Package]:
    """The build root's packages: BuildRequires and what those require, from the specs that `spec` declares it needs.

    Raises BuildError when something required is provided neither by them nor by the seed.
    """
    names = builder.graph.closure(builder.graph.needs[spec.name])
    return with_requirements(builder, builder.graph.roots[spec.name], [done[name] for name in names], spec)


def with_requirements(
    builder: Builder, capabilities: Sequence[str], among: Iterable[Built], spec: Spec
) -> dict[str, Package]:
    """The packages `among` these builds that provide the capabilities, and those that they require in turn.

    Packages that the seed owns stay out. `spec` is named in messages. Raises BuildError.
    """
    available = {package.name: package for built in among for package in built.packages}
    provider: dict[str, str] = {}
    for name in sorted(available):
        if not builder.config.seeds.is_owned(name):
            for capability in available[name].capabilities:
                provider.setdefault(capability, name)
    found: dict[str, Package] = {}
    todo = [(name, spec.name) for name in capabilities]
    while todo:
        capability, user = todo.pop()
        maker = provider.get(capability)
        if maker is None:
            if not seed_provides(builder, capability):
                raise BuildError(
                    f"{user} requires {capability}, which nothing in the build root of {spec.name} provides",
                    where=f"specs/{spec.name}/{spec.name}.spec",
                    hint="add a BuildRequires for the package that has it",
                )
        elif maker not in found:
            found[maker] = available[maker]
            todo += [(need.name, maker) for need in available[maker].requires]
    return dict(sorted(found.items()))


def seed_provides(builder: Builder, capability: str) -> bool:
    """Is this capability one that the seed stands for: a path, its toolchain's libraries, a package it owns?"""
    seeds = builder.config.seeds
    if capability.startswith("/") or seeds.is_owned(capability):
        return True
    return any(fnmatch.fnmatchcase(capability, pattern) for pattern in seeds.toolchain)


def build_sandbox(
    builder: Builder, installed: Iterable[Package], binds: Sequence[Bind], upper: Path | None = None
) -> Sandbox:
    """The build root of a package: the extracted trees of its dependencies over the seed."""
    return Sandbox(
        layers=[*(tree_of(package) for package in installed), builder.seed.root],
        scratch=builder.store.scratch,
        upper=upper,
        binds=[*builder.macros, Bind(PROGRAM, "/build.py"), *binds],
        env={**variables(builder.environment.epoch), "PHOTONBUILD_JOBS": str(builder.jobs)},
    )


def variables(epoch: int) -> dict[str, str]:
    """The environment of every build, but for the number of cores, on which no result may depend."""
    return {"HOME": "/build", "SOURCE_DATE_EPOCH": str(epoch)}


def stage_sources(builder: Builder, spec: Spec, folder: Path, *, writable: bool = False) -> None:
    """Copy or pack local sources, and link fetched ones, into a folder that becomes SOURCES.

    A link is the file of the store itself: where the folder is `writable` for what runs in it, they are copied.
    """
    folder.mkdir()
    for local in local_sources(spec.folder, spec.fetched):
        local.write(folder / local.name)
    for entry in spec.fetched.sources:
        source = fetch(builder.fetcher, spec.folder, entry)
        if writable or not _link(source, folder / entry.file):
            copy_file(source, folder / entry.file)


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False
    return True
