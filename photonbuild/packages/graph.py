"""The build graph: which spec needs which, from declared dependencies only. Pure.

A spec that cannot be built, because of what it or another one declares, is a problem of those that need it, not of the
rest: see `Graph.problems`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from photonbuild.errors import ConfigError, PhotonbuildError, SpecError
from photonbuild.packages.demands import Known, check_demands, few
from photonbuild.packages.reach import circle, closure, components, members, postorder, union, unions
from photonbuild.packages.spec import Spec

Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """`needs[spec]`: the specs that must be built before it.

    `roots[spec]`: its BuildRequires that are packages of ours and enter the build root, sorted. `maker`: package →
    spec. `requires`: package → packages of ours that it requires by declared names; `inside`: those of them that enter
    a build root. `before[spec]`: all that is built before it, as bits of `names`. `problems`: why a spec cannot be
    built, also of those that could not be read.
    """

    needs: Mapping[str, frozenset[str]]
    roots: Names
    maker: Mapping[str, str]
    requires: Names
    inside: Names
    names: Sequence[str]
    before: Mapping[str, int]
    problems: Mapping[str, PhotonbuildError]

    def closure(self, names: Iterable[str]) -> frozenset[str]:
        """The named specs and everything that must be built before them."""
        wanted = frozenset(names)
        return wanted | frozenset(members(union(self.before[name] for name in wanted), self.names))

    def all_before(self, name: str) -> frozenset[str]:
        """Everything that must be built before the spec."""
        return frozenset(members(self.before[name], self.names))

    def blocked(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Those of the specs that cannot be built, each with the specs that have the problems, sorted."""
        place = {name: number for number, name in enumerate(self.names)} if self.problems else {}
        wrong = union(1 << place[name] for name in self.problems if name in place)
        found = {name: (self.before[name] | 1 << place[name]) & wrong for name in sorted(names)} if wrong else {}
        return {name: list(members(bits, self.names)) for name, bits in found.items() if bits}

    def why(self, user: str, needed: str) -> str:
        """The line of the spec `user` that makes it need the spec `needed`."""
        for root in self.roots[user]:
            for package in sorted(closure([root], lambda name: self.inside[name])):
                if self.maker[package] == needed:
                    return f"BuildRequires: {root}" + (f", which requires {package}" if package != root else "")
        raise KeyError(needed)


def makers(specs: Mapping[str, Spec]) -> tuple[dict[str, str], dict[str, SpecError]]:
    """Binary package → spec, the first by name; and the problem of each spec whose package another one makes, too."""
    found: dict[str, str] = {}
    problems: dict[str, SpecError] = {}
    for name in sorted(specs):
        for package in specs[name].packages:
            other = found.setdefault(package.name, name)
            if other != name:
                error = SpecError(
                    f"package {package.name} is made by two specs: {other} and {name}", where=specs[name].where
                )
                problems |= {other: error, name: error}
    return found, problems


def providers(specs: Mapping[str, Spec], maker: Mapping[str, str]) -> dict[str, str]:
    """Declared capability → binary package that provides it (the first by name of its spec)."""
    found: dict[str, str] = {}
    for name in sorted(specs):
        for package in specs[name].packages:
            for capability in package.provides:
                found.setdefault(capability.name, package.name)
    return found | {package: package for package in maker}


def build_graph(
    specs: Mapping[str, Spec],
    *,
    seed_capabilities: Mapping[str, str],
    is_owned: Callable[[str], bool],
    in_seed: Callable[[str], bool] = lambda path: False,
    broken: Mapping[str, PhotonbuildError] | None = None,
) -> Graph:
    """Resolve every BuildRequires.

    `seed_capabilities`: name → version, empty where it has none; `in_seed`: is there a file of this path? `broken`:
    specs that could not be read. Nothing is raised for what is wrong with a spec: that is in `Graph.problems`.
    """
    names = sorted(specs)
    maker, twice = makers(specs)
    packages = {package.name: package for name in names for package in specs[name].packages}
    provider = providers(specs, maker)
    owned = {package for package in packages if is_owned(package)}
    requires = {
        package: tuple(dict.fromkeys(provider[need.name] for need in record.requires if need.name in provider))
        for package, record in packages.items()
    }
    inside = {package: tuple(name for name in wanted if name not in owned) for package, wanted in requires.items()}
    roots = {
        name: tuple(sorted({need.name for need in specs[name].build_requires if need.name in packages} - owned))
        for name in names
    }
    bit = {name: 1 << number for number, name in enumerate(names)}
    made = unions(inside, {package: bit[maker[package]] for package in packages})
    needs = {name: frozenset(members(union(made[root] for root in roots[name]), names)) for name in names}
    before = _before(roots, inside, maker, bit)
    known = Known(packages=packages, owned=owned, seed=seed_capabilities, in_seed=in_seed, broken=sorted(broken or ()))
    problems: dict[str, PhotonbuildError] = {**(broken or {}), **twice}
    graph = Graph(
        needs=needs,
        roots=roots,
        maker=maker,
        requires=requires,
        inside=inside,
        names=names,
        before=before,
        problems=problems,
    )
    for name in names:
        error = check_demands(specs[name], known, roots[name], inside)
        if error is not None:
            problems.setdefault(name, error)
    for name, error in _circles(graph).items():
        problems.setdefault(name, error)
    return graph


def _before(roots: Names, inside: Names, maker: Mapping[str, str], bit: Mapping[str, int]) -> dict[str, int]:
    """All that is built before each spec: what makes the packages of its build root, and so on down."""
    # One graph of both: no package is called as the node of a spec is.
    node = {name: f"/{name}" for name in roots}
    arrows = {package: (*wanted, node[maker[package]]) for package, wanted in inside.items()}
    arrows |= {node[name]: wanted for name, wanted in roots.items()}
    found = unions(arrows, {node[name]: bits for name, bits in bit.items()})
    return {name: union(found[root] for root in roots[name]) for name in roots}


def _circles(graph: Graph) -> dict[str, SpecError]:
    """The specs that need themselves, by way of others or not, each with one circle that says why."""
    inside = {name for number, name in enumerate(graph.names) if graph.before[name] >> number & 1}
    needs = {name: graph.needs[name] & inside for name in inside}
    found: dict[str, SpecError] = {}
    for group in components(needs):
        cycle = circle({name: needs[name] & frozenset(group) for name in group})
        if cycle:
            error = SpecError(
                "the specs need each other in a circle",
                detail=explain_circle(graph, cycle),
                hint="break it with a build option, or let the seed own one of the packages (build/seed.yaml)",
            )
            found |= dict.fromkeys(group, error)
    return found


def explain_circle(graph: Graph, cycle: Sequence[str]) -> str:
    lines = [f"{' → '.join(cycle)}"]
    lines += [f"  {a} needs {b}  ({graph.why(a, b)})" for a, b in pairwise(cycle)]
    return "\n".join(lines)


def wanted_specs(graph: Graph, packages: Iterable[str], *, where: str = "profile") -> frozenset[str]:
    """Specs to build so that `packages` can be installed: their makers, what those packages require by name, and what
    all of these need to be built.

    Raises ConfigError for a package that no spec makes, SpecError when a spec that cannot be read may make it.
    """
    wanted = list(packages)
    for package in wanted:
        if package not in graph.maker:
            raise no_maker(graph, package, where)
    installed = closure(wanted, lambda name: graph.requires[name])
    return graph.closure(graph.maker[name] for name in installed)


def no_maker(graph: Graph, package: str, where: str | None = None) -> PhotonbuildError:
    """The error for a name that is no package of a spec that was read, nor such a spec."""
    message = f"no spec makes the package '{package}'"
    unread = [name for name in graph.problems if name not in graph.before]
    if package in unread:
        return graph.problems[package]
    if unread:
        hint = f"these could not be read, and one of them may make it: {few(unread)}"
        return SpecError(message, where=where, hint=hint)
    near = difflib.get_close_matches(package, sorted({*graph.before, *graph.maker}), 1)
    return ConfigError(message, where=where, hint=f"did you mean '{near[0]}'?" if near else "write a spec for it")


def levels(needs: Mapping[str, Iterable[str]], cost: Mapping[str, float]) -> dict[str, float]:
    """Cost of the longest chain that starts with each spec and ends with a spec that nothing needs (seconds)."""
    inner = {name: [other for other in wanted if other in needs] for name, wanted in needs.items()}
    found = {name: cost.get(name, 0.0) for name in needs}
    for name in reversed(postorder(inner)):
        for other in inner[name]:
            found[other] = max(found[other], cost.get(other, 0.0) + found[name])
    return found
