"""One run: configuration, store, options, and what is found out on the way, each once."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from photonbuild.cache.caches import Caches
from photonbuild.config.load import Config
from photonbuild.errors import PhotonbuildError
from photonbuild.files import read_sealed
from photonbuild.log import Reporter
from photonbuild.packages.buildroot import Builder
from photonbuild.packages.built import Cost
from photonbuild.packages.graph import Graph, build_graph, no_maker
from photonbuild.packages.readspecs import ReadSpecs, read_specs
from photonbuild.packages.spec import Spec, printable
from photonbuild.packages.versions import upstream_version
from photonbuild.seeds import seed
from photonbuild.seeds.frozen import FrozenSeed
from photonbuild.seeds.lock import lock_path, locked_versions
from photonbuild.sources.fetch import Fetcher
from photonbuild.store import Store

PRINTED = 5  # lines of what a spec prints while it is parsed that are shown


def first_lines(text: str) -> str:
    """As much of what a spec printed, or rpm said of it, as is shown."""
    lines = text.splitlines()
    more = f"\n… {len(lines) - PRINTED} lines more" if len(lines) > PRINTED else ""
    return "\n".join(lines[:PRINTED]) + more


@dataclass
class Session:
    """One run: configuration, store, options, and what is found out on the way, each once."""

    config: Config
    store: Store
    reporter: Reporter
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    offline: bool = False
    locked: bool = False
    only_cached: bool = False
    _layers: dict[str, FrozenSeed] = field(default_factory=dict)

    @cached_property
    def caches(self) -> Caches:
        """The shared caches of the configuration; without a network those entries alone that came from them before."""
        settings, tell = self.config.caches, self.reporter.warn
        found = Caches.open(settings, self.store, root=self.config.root, warn=tell)
        found.only = self.only_cached
        return replace(found, caches=()) if self.offline else found

    def seed_keys(self) -> list[tuple[str, Mapping[str, Any]]]:
        """The seeds that are locked, and what each is made from."""
        names = [name for name in self.config.seed_names if lock_path(self.config, name).exists()]
        return [(name, seed.seed_inputs(self.config, name)) for name in names]

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """At the end of the block what was made is in the caches that are written to."""
        try:
            yield
        finally:
            if (caches := self.__dict__.get("caches")) is not None:
                caches.finish(cancel=sys.exc_info()[0] is not None)
                for cache in filter(lambda cache: cache.received, caches.caches):
                    self.reporter.detail(f"{cache.name}: {cache.received / 1e6:.1f} MB received")

    def frozen(self, name: str) -> FrozenSeed:
        with self.reporter.phase("seed"):
            return seed.build(
                self.config,
                self.store,
                name,
                self.reporter.warn,
                locked=self.locked,
                offline=self.offline,
                caches=self.caches,
                info=self.reporter.info,
            )

    @cached_property
    def seed(self) -> FrozenSeed:
        return self.frozen("build")

    def layers(self, capabilities: Iterable[str]) -> tuple[FrozenSeed, ...]:
        """What lies over the build seed where these capabilities are asked for."""
        names = self.config.seeds.layers_of(capabilities)
        return tuple(self._layers.get(name) or self._layers.setdefault(name, self.frozen(name)) for name in names)

    def seed_roots(self, *capabilities: str) -> tuple[Path, ...]:
        """The roots of the build seed and of what lies over it for these capabilities, uppermost first."""
        return (*(layer.root for layer in self.layers(capabilities)), self.seed.root)

    def check_seeds(self, names: Iterable[str]) -> None:
        """Before these specs are built: their seeds are made again where they are no longer what was made."""
        if self.seed.is_there and not seed.check(self.store, self.seed):
            self.__dict__["seed"] = self.frozen("build")
        wanted = {need.name for name in names for need in self.specs[name].build_requires}
        for layer in self.layers(wanted):
            if layer.is_there and not seed.check(self.store, layer):
                self._layers[layer.name] = self.frozen(layer.name)

    @cached_property
    def image_seed(self) -> FrozenSeed:
        return self.frozen("image")

    @cached_property
    def machine_seed(self) -> FrozenSeed:
        return self.frozen("machine")

    @cached_property
    def _read(self) -> ReadSpecs:
        frozen = self.seed
        with self.reporter.phase("specs"):
            found = read_specs(self.config, self.store, frozen, self.caches)
        for name, spec in found.specs.items():
            if spec.warnings:
                # Said when it is parsed; later only to who asks for more.
                tell = self.reporter.warn if name in found.fresh else self.reporter.detail
                tell(f"{spec.where}: it printed while it was parsed: {first_lines(printable(spec.warnings))}")
        return found

    @property
    def specs(self) -> Mapping[str, Spec]:
        """The specs that can be read; why others cannot is among `graph.problems`."""
        return self._read.specs

    @property
    def parsed(self) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """Key and record of the specs that were parsed here."""
        return self._read.records

    @cached_property
    def seed_capabilities(self) -> Mapping[str, str]:
        """What the build seed and what lies over it give to a BuildRequires: name → version, empty without one."""
        seeds = self.config.seeds
        return {
            **dict.fromkeys(seeds.build_capabilities, ""),
            **{
                name: upstream_version(version)
                for seed_name in ("build", *seeds.layers)
                for name, version in locked_versions(self.config, seed_name).items()
            },
        }

    @cached_property
    def graph(self) -> Graph:
        read, seeds = self._read, self.config.seeds
        with self.reporter.phase("graph"):
            return build_graph(
                read.specs,
                seed_capabilities=self.seed_capabilities,
                is_owned=seeds.is_owned,
                in_seed=self.seed.holds,
                broken=read.broken,
            )

    def buildable(self, names: Iterable[str]) -> tuple[frozenset[str], list[PhotonbuildError]]:
        """The specs and all that they need, without what cannot be built; and the problems because of which it cannot.

        Problems of specs that are not asked for are warnings.
        """
        wanted = self.graph.closure(names)
        blocked = self.graph.blocked(wanted)
        needed = sorted({problem for problems in blocked.values() for problem in problems})
        self._tell(self.graph.problems.keys() - needed)
        return wanted - blocked.keys(), list(dict.fromkeys(self.graph.problems[name] for name in needed))

    def _tell(self, names: Iterable[str]) -> None:
        for error in dict.fromkeys(self.graph.problems[name] for name in sorted(names)):
            first = next(iter((error.detail or "").splitlines()), "")
            self.reporter.warn(f"{error}{f': {first}' if first else ''}; left out")

    @cached_property
    def fetcher(self) -> Fetcher:
        return Fetcher(config=self.config, store=self.store, roots=self.seed_roots, offline=self.offline)

    @cached_property
    def builder(self) -> Builder:
        return Builder.make(
            self.config,
            self.store,
            self.seed,
            self.graph,
            self.fetcher,
            self.costs,
            layers=self.layers,
            jobs=self.jobs,
            caches=self.caches,
        )

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """What each spec's build took: as last measured here, else as measured by us (build/timings.json)."""
        unknown = dict.fromkeys(self.specs, Cost(measured=False))
        return unknown | self._timings(self.store.root / "timings.json")

    @cached_property
    def shared_costs(self) -> dict[str, Cost]:
        """What each spec's build takes as the distribution says: the same for all that build it."""
        return self._timings()

    def _timings(self, *more: Path) -> dict[str, Cost]:
        known: dict[str, dict[str, Any]] = {}
        for path in (*self.config.roots.all("build/timings.json"), *more):
            known |= read_sealed(path) or {}
        return {name: Cost(**known[name]) for name in self.specs if name in known}

    def forget_builds(self) -> None:
        """What was concluded from builds is found out again."""
        self.__dict__.pop("builder", None)

    def spec(self, name: str) -> Spec:
        """A spec by its name or by the name of a package that it makes."""
        found = self.specs.get(name) or self.specs.get(self.graph.maker.get(name, ""))
        if found is None:
            raise no_maker(self.graph, name)
        return found
