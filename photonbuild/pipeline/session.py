"""One run: configuration, store, options, and what is found out on the way, each once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from photonbuild.config.load import Config
from photonbuild.documents import nearest
from photonbuild.errors import ConfigError
from photonbuild.files import read_sealed
from photonbuild.log import Reporter
from photonbuild.packages.buildroot import Builder
from photonbuild.packages.built import Cost
from photonbuild.packages.graph import Graph, build_graph
from photonbuild.packages.spec import Spec, read_specs
from photonbuild.seeds import seed
from photonbuild.seeds.seed import FrozenSeed
from photonbuild.sources.fetch import Fetcher
from photonbuild.store import Store


@dataclass
class Session:
    """One run: configuration, store, options, and what is found out on the way, each once."""

    config: Config
    store: Store
    reporter: Reporter
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    offline: bool = False
    locked: bool = False

    def frozen(self, name: str) -> FrozenSeed:
        if not seed.is_ready(self.config, self.store, name):
            self.reporter.info(f"making the {name} seed: fetching and installing its packages takes a minute or two")
        with self.reporter.phase("seed"):
            return seed.build(
                self.config, self.store, name, self.reporter.warn, locked=self.locked, offline=self.offline
            )

    @cached_property
    def seed(self) -> FrozenSeed:
        return self.frozen("build")

    def check_seed(self) -> None:
        """Before builds: the build seed is made again if it is no longer what it was."""
        if not seed.check(self.store, self.seed):
            self.__dict__["seed"] = self.frozen("build")

    @cached_property
    def machine_seed(self) -> FrozenSeed:
        return self.frozen("machine")

    @cached_property
    def specs(self) -> dict[str, Spec]:
        frozen = self.seed
        with self.reporter.phase("specs"):
            return read_specs(self.config, self.store, frozen.root, frozen.digest)

    @cached_property
    def graph(self) -> Graph:
        return build_graph(
            self.specs, seed_capabilities=self.config.seeds.build_capabilities, is_owned=self.config.seeds.is_owned
        )

    @cached_property
    def fetcher(self) -> Fetcher:
        return Fetcher(config=self.config, store=self.store, seed=lambda: self.seed.root, offline=self.offline)

    @cached_property
    def builder(self) -> Builder:
        return Builder.make(self.config, self.store, self.seed, self.graph, self.fetcher, self.costs, jobs=self.jobs)

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """What each spec's build took: as last measured here, else as measured by us (build/timings.json)."""
        known: dict[str, dict[str, Any]] = {}
        for path in (self.config.build_dir / "timings.json", self.store.root / "timings.json"):
            known |= read_sealed(path) or {}
        return {name: Cost(**known[name]) if name in known else Cost() for name in self.specs}

    def spec(self, name: str) -> Spec:
        """A spec by its name or by the name of a package that it makes."""
        found = self.specs.get(name) or self.specs.get(self.graph.maker.get(name, ""))
        if found is None:
            raise ConfigError(f"no spec makes '{name}'{nearest(name, [*self.specs, *self.graph.maker])}")
        return found
