"""The build graph: which spec needs which, from declared dependencies only. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from photonbuild.errors import ConfigError, SpecError
from photonbuild.packages.spec import BinaryPackage, Spec


@dataclass(frozen=True, kw_only=True)
class Graph:
    """`needs[spec]`: the specs that must be built before it; `why[(a, b)]`: the line that makes a need b.

    `roots[spec]`: its BuildRequires that are packages of ours and enter the build root, sorted.
    """

    needs: Mapping[str, frozenset[str]]
    why: Mapping[tuple[str, str], str]
    roots: Mapping[str, tuple[str, ...]]
    maker: Mapping[str, str]

    def closure(self, names: Iterable[str]) -> frozenset[str]:
        """The named specs and everything that must be built before them."""
        return closure(names, lambda name: self.needs[name])


def closure(names: Iterable[str], following: Callable[[str], Iterable[str]]) -> frozenset[str]:
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += following(name)
    return frozenset(seen)


def makers(specs: Mapping[str, Spec]) -> dict[str, str]:
    """Binary package → spec. Raises SpecError when two specs make a package of the same name."""
    found: dict[str, str] = {}
    for name in sorted(specs):
        for package in specs[name].packages:
            other = found.setdefault(package.name, name)
            if other != name:
                raise SpecError(f"package {package.name} is made by two specs: {other} and {name}")
    return found


def providers(specs: Mapping[str, Spec]) -> dict[str, str]:
    """Declared capability → binary package that provides it (the first by name)."""
    found: dict[str, str] = {}
    for name in sorted(specs):
        for package in specs[name].packages:
            for capability in package.provides:
                found.setdefault(capability.name, package.name)
    return found | {package: package for package in makers(specs)}


def build_graph(
    specs: Mapping[str, Spec], *, seed_capabilities: Collection[str], is_owned: Callable[[str], bool]
) -> Graph:
    """Resolve every BuildRequires. Raises SpecError for an unknown name (with a suggestion) and for a cycle."""
    maker, provider = makers(specs), providers(specs)
    packages = {package.name: package for spec in specs.values() for package in spec.packages}
    needs: dict[str, frozenset[str]] = {}
    why: dict[tuple[str, str], str] = {}
    roots: dict[str, tuple[str, ...]] = {}

    def runtime(name: str) -> list[str]:
        required = (provider.get(need.name) for need in packages[name].requires)
        return [found for found in required if found is not None and not is_owned(found)]

    for name, spec in sorted(specs.items()):
        direct = []
        for need in spec.build_requires:
            if need.name in packages and not is_owned(need.name):
                direct.append(need.name)
            elif need.name not in seed_capabilities and need.name not in packages:
                raise _unknown(spec, need.name, [*packages, *seed_capabilities])
        roots[name] = tuple(sorted(set(direct)))
        needed = set()
        for first in roots[name]:
            for package in sorted(closure([first], runtime)):
                needed.add(maker[package])
                via = f"BuildRequires: {first}" + (f", which requires {package}" if package != first else "")
                why.setdefault((name, maker[package]), via)
        needs[name] = frozenset(needed)
    graph = Graph(needs=needs, why=why, roots=roots, maker=maker)
    cycle = find_cycle(needs)
    if cycle:
        raise SpecError(
            "the specs need each other in a circle",
            detail=explain_cycle(graph, cycle),
            hint="break it with a build option, or let the seed own one of the packages (build/seed.yaml)",
        )
    return graph


def _unknown(spec: Spec, name: str, known: Sequence[str]) -> SpecError:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return SpecError(
        f"BuildRequires: {name} is neither a package of ours nor one of the seed's",
        where=f"specs/{spec.name}/{spec.name}.spec",
        hint=f"did you mean {near[0]}?" if near else "write a spec for it, or add it to build/seed.yaml",
    )


def find_cycle(needs: Mapping[str, Collection[str]]) -> list[str] | None:
    """One cycle as [a, b, …, a], the same one for the same graph, or None."""
    done: set[str] = set()
    for start in sorted(needs):
        path: list[str] = []
        stack: list[tuple[str, list[str]]] = [(start, sorted(needs[start], reverse=True))]
        while stack:
            name, rest = stack[-1]
            if name not in path:
                path.append(name)
            if name in done or not rest:
                done.add(name)
                stack.pop()
                path.pop()
                continue
            following = rest.pop()
            if following in path:
                return [*path[path.index(following) :], following]
            if following not in done:
                stack.append((following, sorted(needs[following], reverse=True)))
    return None


def explain_cycle(graph: Graph, cycle: Sequence[str]) -> str:
    lines = [f"{' → '.join(cycle)}"]
    lines += [f"  {a} needs {b}  ({graph.why[a, b]})" for a, b in pairwise(cycle)]
    return "\n".join(lines)


def wanted_specs(
    specs: Mapping[str, Spec], graph: Graph, packages: Iterable[str], *, where: str = "profile"
) -> frozenset[str]:
    """Specs to build so that `packages` can be installed: their makers, what those packages require by name, and what
    all of these need to be built. Raises ConfigError for a package that no spec makes."""
    provider = providers(specs)
    made: dict[str, BinaryPackage] = {package.name: package for spec in specs.values() for package in spec.packages}
    for package in packages:
        if package not in made:
            near = difflib.get_close_matches(package, sorted(made), 1)
            raise ConfigError(
                f"no spec makes the package '{package}'",
                where=where,
                hint=f"did you mean '{near[0]}'?" if near else "write a spec for it",
            )

    def runtime(name: str) -> list[str]:
        required = (provider.get(need.name) for need in made[name].requires)
        return [found for found in required if found is not None]

    installed = closure(packages, runtime)
    return graph.closure(graph.maker[name] for name in installed)


def levels(needs: Mapping[str, Collection[str]], cost: Mapping[str, float]) -> dict[str, float]:
    """Cost of the longest chain that starts with each spec and ends with a spec that nothing needs (seconds)."""
    users: dict[str, set[str]] = {name: set() for name in needs}
    for name, wanted in needs.items():
        for other in wanted & users.keys() if isinstance(wanted, frozenset) else wanted:
            users[other].add(name)
    found: dict[str, float] = {}

    def level(name: str) -> float:
        if name not in found:
            found[name] = cost.get(name, 0.0) + max((level(user) for user in sorted(users[name])), default=0.0)
        return found[name]

    for name in sorted(needs):
        level(name)
    return found
