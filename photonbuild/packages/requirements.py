"""Which spec needs which, and by what capability: of any tree of specs, from what they declare. Pure.

Unlike `photonbuild.packages.graph`, which orders builds here and holds what it does not know against a spec, this takes
a tree as it is: what nothing in it provides is listed, circles are counted, and nothing is an error.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from photonbuild.packages.declared import DeclaredPackage, DeclaredSpec
from photonbuild.packages.package import Dependency
from photonbuild.packages.reach import closure, components
from photonbuild.packages.versions import compare, meets

Tag = Literal["BuildRequires", "Requires"]
Kind = Literal["all", "build", "run"]
# Of a rich dependency: what is in parentheses, a word between two of them, or NAME [RELATION VERSION].
_RICH = re.compile(
    r"\s*(?:([()])|(and|or|if|else|unless|with|without)\s|([^\s()]+(?:\([^)]*\))*)(?:\s*(<=|>=|<|>|=)\s*([^\s()]+))?)"
)


@dataclass(frozen=True, kw_only=True)
class Bond:
    """A requirement that something in the tree meets: `capability`, asked for under `tag`, is of `package`."""

    tag: Tag
    capability: str
    package: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A requirement of `user` that nothing in the tree meets. `found`: other versions of it that are there."""

    user: str
    tag: Tag
    capability: str
    found: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One link of a chain: `user`, a spec or a package, needs `package`, which the spec `maker` makes."""

    user: str
    tag: Tag
    capability: str
    package: str
    maker: str


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """All requirements of a tree. A spec is called by its name, or by its path where several have that name.

    `build[spec]`: of its BuildRequires. `run[package]`: of what the package requires. `maker`: package → spec; of
    several that make one package the newest counts, and the others' are called NAME (PATH). `owned`: packages that
    never enter a build root, since its seed stands for them. `missing`: what nothing here provides.
    """

    specs: Mapping[str, DeclaredSpec]
    maker: Mapping[str, str]
    build: Mapping[str, tuple[Bond, ...]]
    run: Mapping[str, tuple[Bond, ...]]
    owned: frozenset[str] = frozenset()
    missing: tuple[Missing, ...] = ()
    _made: dict[str, list[str]] = field(default_factory=dict)

    def made_by(self, spec: str) -> Sequence[str]:
        """The packages of a spec, sorted."""
        if not self._made:
            for package in sorted(self.maker):
                self._made.setdefault(self.maker[package], []).append(package)
        return self._made.get(spec, ())

    def bonds(self, spec: str, kind: Kind = "all") -> Iterator[tuple[str, Bond]]:
        """What a spec and its packages need, each with who needs it."""
        if kind != "run":
            yield from ((spec, bond) for bond in self.build[spec])
        if kind != "build":
            yield from ((package, bond) for package in self.made_by(spec) for bond in self.run[package])

    def needs(self, kind: Kind = "all") -> dict[str, dict[str, frozenset[str]]]:
        """Spec → the others that it needs → under which tags."""
        found: dict[str, dict[str, frozenset[str]]] = {}
        for spec in self.specs:
            row = found.setdefault(spec, {})
            for _, bond in self.bonds(spec, kind):
                other = self.maker[bond.package]
                if other != spec:
                    row[other] = row.get(other, frozenset()) | {bond.tag}
        return found

    def circles(self) -> list[list[str]]:
        """The groups of specs that need each other, or one that needs itself, to be built; the largest first."""
        # One graph of both: no package is called as the node of a spec is.
        arrows = {
            name: [*(bond.package for bond in bonds if bond.package not in self.owned), f"/{self.maker[name]}"]
            for name, bonds in self.run.items()
        }
        arrows |= {
            f"/{name}": [bond.package for bond in bonds if bond.package not in self.owned]
            for name, bonds in self.build.items()
        }
        nodes = {f"/{name}": name for name in self.specs}
        groups = [[nodes[node] for node in group if node in nodes] for group in components(arrows) if len(group) > 1]
        return sorted((sorted(group) for group in groups if group), key=lambda group: (-len(group), group))

    def named(self, name: str) -> str | None:
        """The spec of this name or path, or the one that makes the package of this name."""
        if name in self.specs:
            return name
        return next((label for label, spec in self.specs.items() if spec.path == name), self.maker.get(name))

    def why(self, user: str, needed: str, kind: Kind = "all") -> list[Step] | None:
        """The shortest chain of requirements from one spec or package to another, or None. Both are known names.

        With `build` it begins with a BuildRequires, with `run` it is of what packages require alone.
        """
        spec, packages = (user, self.made_by(user)) if user in self.specs else (self.maker[user], [user])
        goal = set(self.made_by(needed)) if needed in self.specs else {needed}
        origins: list[_Node] = [] if kind == "run" else [("", True, spec)]
        if kind != "build":
            origins += [(package, False, self.maker[package]) for package in packages]
        before: dict[_Node, tuple[_Node, Step] | None] = dict.fromkeys(origins)
        todo = deque(origins)
        asked: set[str] = set()
        while todo:
            node = todo.popleft()
            package, building, maker = node
            if package in goal and before[node] is not None:
                return _chain(before, node)
            following = [(package, building, bond) for bond in self.run[package]] if package else []
            if kind != "run" and maker not in asked and (not package or before[node] is not None):
                asked.add(maker)
                following += [(maker, True, bond) for bond in self.build[maker]]
            for who, inside, bond in following:
                other = (bond.package, inside, self.maker[bond.package])
                if other not in before and not (inside and bond.package in self.owned):
                    before[other] = (node, Step(user=who, maker=other[2], **vars(bond)))
                    todo.append(other)
        return None

    def users(self, name: str) -> list[Step]:
        """Every requirement that a package of the spec, or the package, of this name meets: who needs it directly."""
        goal = set(self.made_by(name)) if name in self.specs else {name}
        return [
            Step(user=user, maker=self.maker[bond.package], **vars(bond))
            for spec in self.specs
            for user, bond in self.bonds(spec)
            if bond.package in goal and spec != self.maker[bond.package]
        ]

    def all_users(self, name: str) -> list[str]:
        """The specs that need the spec, or the package, of this name, directly or not, itself left out."""
        found = closure([name], self._backwards(name))
        return sorted((found & self.specs.keys()) - {name, self.maker.get(name, name)})

    def _backwards(self, name: str) -> Callable[[str], Iterable[str]]:
        users: dict[str, set[str]] = {}
        for spec in self.specs:
            for _, bond in self.bonds(spec):
                users.setdefault(bond.package, set()).add(spec)
        for spec in self.specs:
            users[spec] = {user for package in self.made_by(spec) for user in users.get(package, ())}
        return lambda node: users.get(node, ())


# A package, or none where a spec itself is meant; is it in a build root? the spec.
_Node = tuple[str, bool, str]


def _chain(before: Mapping[_Node, tuple[_Node, Step] | None], last: _Node) -> list[Step]:
    steps: list[Step] = []
    node = last
    while (found := before[node]) is not None:
        node, step = found
        steps.append(step)
    return steps[::-1]


def requirements(
    specs: Iterable[DeclaredSpec],
    *,
    is_owned: Callable[[str], bool] = lambda package: False,
    in_seed: Callable[[str], bool] = lambda capability: False,
) -> Requirements:
    """Who needs whom in these specs. `in_seed`: does the seed of build roots meet this BuildRequires?"""
    labelled = _labels([spec for spec in specs if spec.wanted])
    packages, maker = _packages(labelled)
    offers = _Offers(packages)
    missing: list[Missing] = []

    def bonds(user: str, tag: Tag, needs: Iterable[Dependency]) -> tuple[Bond, ...]:
        found: dict[Bond, None] = {}
        for need in needs:
            for alternatives in alternatives_of(need):
                package = offers.provider(alternatives, user)
                if package is not None:
                    found[Bond(tag=tag, capability=str(need), package=package)] = None
                elif not (tag == "BuildRequires" and any(in_seed(one.name) for one in alternatives)):
                    there = ", ".join(sorted({text for one in alternatives for text in offers.others(one)})[:5])
                    missing.append(Missing(user=user, tag=tag, capability=str(need), found=there))
        return tuple(sorted(found, key=lambda bond: (bond.package, bond.capability)))

    build = {label: bonds(label, "BuildRequires", spec.build_requires) for label, spec in labelled.items()}
    run = {name: bonds(name, "Requires", package.requires) for name, package in packages.items()}
    return Requirements(
        specs=labelled,
        maker=maker,
        build=build,
        run=run,
        owned=frozenset(name for name in packages if is_owned(name)),
        missing=tuple(dict.fromkeys(missing)),
    )


def _labels(specs: Sequence[DeclaredSpec]) -> dict[str, DeclaredSpec]:
    """The specs by what they are called, sorted: by their names, or by their paths where several have one name."""
    count: dict[str, int] = {}
    for spec in specs:
        count[spec.name] = count.get(spec.name, 0) + 1
    found = {spec.name if count[spec.name] == 1 else spec.path: spec for spec in specs}
    return dict(sorted(found.items()))


def _packages(specs: Mapping[str, DeclaredSpec]) -> tuple[dict[str, DeclaredPackage], dict[str, str]]:
    """The packages by what they are called, and their makers."""
    makers: dict[str, list[str]] = {}
    for label, spec in specs.items():
        for package in spec.packages:
            rows = makers.setdefault(package.name, [])
            if label not in rows:
                rows.append(label)
    newest = {name: _newest(rows, specs) for name, rows in makers.items()}
    found: dict[str, DeclaredPackage] = {}
    maker: dict[str, str] = {}
    for label, spec in specs.items():
        for package in spec.packages:
            name = package.name if newest[package.name] == label else f"{package.name} ({spec.path})"
            found[name], maker[name] = package, label
    return dict(sorted(found.items())), maker


def _newest(labels: Sequence[str], specs: Mapping[str, DeclaredSpec]) -> str:
    best = labels[0]
    for label in labels[1:]:
        if compare(specs[label].evr, specs[best].evr) > 0:
            best = label
    return best


class _Offers:
    """What the packages of a tree provide: declared capabilities, and files that their specs name in full."""

    def __init__(self, packages: Mapping[str, DeclaredPackage]) -> None:
        self.packages = packages
        self.providers: dict[str, dict[str, None]] = {}
        for name, package in packages.items():
            for capability in package.provides:
                self.providers.setdefault(capability.name, {})[name] = None
            for path in package.files:
                self.providers.setdefault(path, {})[name] = None
                if path.endswith(".pc") and "/pkgconfig/" in path:
                    module = path.rpartition("/")[2].removesuffix(".pc")
                    self.providers.setdefault(f"pkgconfig({module})", {})[name] = None
        self._met: dict[tuple[str, Dependency], bool] = {}

    def provider(self, alternatives: Sequence[Dependency], user: str) -> str | None:
        """The package that meets one of these, the first that can be met: `user` itself, the one of just that name, or
        the first by name."""
        for wanted in alternatives:
            if not wanted.relation and len(only := self.providers.get(wanted.name, {})) == 1:
                return next(iter(only))
            found = [name for name in self._candidates(wanted.name) if self._meets(name, wanted)]
            if found:
                return min(found, key=lambda name: (name != user, name != wanted.name, " (" in name, name))
        return None

    def others(self, wanted: Dependency) -> Iterator[str]:
        """What is provided under this name, whatever its version."""
        for name in self._candidates(wanted.name):
            yield from (str(one) for one in self.packages[name].provides if one.name == wanted.name)

    def _candidates(self, capability: str) -> Iterable[str]:
        found = self.providers.get(capability)
        if found is None and re.match(r"/(?:s?bin|lib(?:64)?)/", capability):
            # These are links into /usr nowadays, and specs say both.
            found = self.providers.get(f"/usr{capability}")
        return found or ()

    def _meets(self, name: str, wanted: Dependency) -> bool:
        if not wanted.relation:
            return True
        key = (name, wanted)
        if key not in self._met:
            same = [one for one in self.packages[name].provides if one.name == wanted.name]
            # A file, or a module that is known by its file, has no version.
            self._met[key] = not same or meets(same, wanted)
        return self._met[key]


def alternatives_of(need: Dependency) -> list[tuple[Dependency, ...]]:
    """What is to be met, each by one of several: of a plain dependency itself, of a rich one as its words say.

    Conditions are not judged, since nothing is installed here: what is needed only *if* something else is there counts
    as needed, and what stands behind ``if``, ``unless``, ``else`` and ``without`` does not.
    """
    if not need.name.startswith("("):
        return [(need,)]
    groups: list[list[Dependency]] = []
    joined, skipped, depth = False, 0, 0
    for parenthesis, word, name, relation, version in _RICH.findall(need.name):
        if parenthesis:
            depth += 1 if parenthesis == "(" else -1
            skipped = skipped if depth >= skipped else 0
        elif word:
            joined = word == "or"
            # Until the parenthesis closes in which the word stands.
            skipped = skipped or (depth if word in ("if", "unless", "else", "without") else 0)
        elif name and not skipped:
            one = Dependency(name=name, relation=relation, version=version)
            if joined and groups:
                groups[-1].append(one)
            else:
                groups.append([one])
    return [tuple(group) for group in groups]
