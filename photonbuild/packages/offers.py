"""What finished packages provide and require, indexed once for all build roots of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from photonbuild.packages.built import Built
from photonbuild.packages.files import holds
from photonbuild.packages.package import Package


@dataclass(kw_only=True)
class Offers:
    """An index over builds, for any choice among them. Threads may add and ask at once.

    `is_owned`: packages of these names never enter a build root. `in_seed`: is this capability met by the seed? Both
    are asked once for each name.
    """

    is_owned: Callable[[str], bool]
    in_seed: Callable[[str], bool]
    _specs: set[str] = field(default_factory=set)
    _packages: dict[str, Package] = field(default_factory=dict)
    _maker: dict[str, str] = field(default_factory=dict)
    _builds: dict[str, Built] = field(default_factory=dict)
    _providers: dict[str, list[str]] = field(default_factory=dict)
    _seed: dict[str, bool] = field(default_factory=dict)
    # Package → what it requires, where that is the same for every choice; None where it is not. `_users`: capability →
    # packages for which it was looked up, to be looked up again when one more package provides it.
    _direct: dict[str, frozenset[str] | None] = field(default_factory=dict)
    _users: dict[str, list[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, done: Mapping[str, Built], specs: AbstractSet[str]) -> None:
        """Index the builds of these specs, those that are not there yet: in a run a spec has one build."""
        for name in specs - self._specs:
            with self._lock:
                self._add(done[name])

    def _add(self, built: Built) -> None:
        if built.spec in self._specs:
            return
        for package in built.packages:
            if self.is_owned(package.name):
                continue
            self._packages[package.name], self._maker[package.name] = package, built.spec
            for capability in package.capabilities:
                # A list that is asked for meanwhile is never seen half changed.
                self._providers[capability] = sorted({*self._providers.get(capability, ()), package.name})
                for user in self._users.pop(capability, ()):
                    self._direct.pop(user, None)
        self._builds[built.spec] = built
        self._specs.add(built.spec)

    def packages(self, names: Iterable[str]) -> dict[str, Package]:
        """The packages of these names, sorted."""
        ordered = sorted(names)
        return dict(zip(ordered, map(self._packages.__getitem__, ordered), strict=True))

    def provider(self, capability: str, specs: AbstractSet[str]) -> str | None:
        """The first package by name, of those that these specs make, that provides it."""
        return next((name for name in self._providers.get(capability, ()) if self._maker[name] in specs), None)

    def seed_provides(self, capability: str) -> bool:
        found = self._seed.get(capability)
        if found is None:
            found = self._seed[capability] = self.in_seed(capability)
        return found

    def holder(self, path: str, specs: AbstractSet[str]) -> str | None:
        """The first package by name, of those that these specs make, that has a file of this path."""
        names = sorted(name for name, maker in self._maker.items() if maker in specs)
        return next((n for n in names if holds(self._builds[self._maker[n]], self._packages[n], path)), None)

    def closure(self, capabilities: Iterable[str], specs: AbstractSet[str]) -> set[str] | None:
        """The packages that these capabilities bring in, made by these specs.

        None where the choice of specs matters, or something is missing: then each has to be looked up for itself.
        """
        found: set[str] = set()
        todo: list[str] = []
        for capability in capabilities:
            provider = self.provider(capability, specs)
            if provider is None:
                if not self.seed_provides(capability):
                    return None
            elif provider not in found:
                found.add(provider)
                todo.append(provider)
        while todo:
            name = todo.pop()
            direct = self._direct[name] if name in self._direct else self._resolve(name)
            if direct is None:
                return None
            new = direct - found
            found |= new
            todo += new
        return found if {self._maker[name] for name in found} <= specs else None

    def _resolve(self, name: str) -> frozenset[str] | None:
        with self._lock:
            direct: set[str] = set()
            certain = True
            for capability in {need.name for need in self._packages[name].requires}:
                self._users.setdefault(capability, []).append(name)
                providers = self._providers.get(capability, ())
                if len(providers) > 1 or (not providers and not self.seed_provides(capability)):
                    certain = False
                direct.update(providers)
            self._direct[name] = found = frozenset(direct) if certain else None
            return found
