"""What a spec demands of its build root, held against what there is: BuildRequires and BuildConflicts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from photonbuild.errors import SpecError
from photonbuild.packages.package import Dependency
from photonbuild.packages.reach import closure
from photonbuild.packages.spec import BinaryPackage, Spec
from photonbuild.packages.versions import meets

FEW = 5


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a demand may be met by: packages of ours, of which the seed owns some; capabilities and files of the seed.

    `seed`: capability → version, empty where it has none. `broken`: specs of which nothing is known.
    """

    packages: Mapping[str, BinaryPackage]
    owned: Collection[str]
    seed: Mapping[str, str]
    in_seed: Callable[[str], bool]
    broken: Sequence[str]


def check_demands(
    spec: Spec, known: Known, roots: Iterable[str], inside: Mapping[str, Iterable[str]]
) -> SpecError | None:
    """What is wrong with the demands of a spec, all of it, or None. `roots` and `inside`: see `Graph`."""
    lines = [line for need in spec.build_requires if (line := _unmet(spec, need, known))]
    if spec.build_conflicts:
        there = [known.packages[name] for name in sorted(closure(roots, lambda name: inside[name]))]
        lines += [line for row in spec.build_conflicts if (line := _conflict(spec, row, there, known))]
    if not lines:
        return None
    if len(lines) == 1:
        where, message, hint = lines[0]
        return SpecError(message, where=where, hint=hint)
    detail = "\n".join(f"{where}: {message}" + (f" ({hint})" if hint else "") for where, message, hint in lines)
    return SpecError(f"{len(lines)} demands of the spec are not met", where=spec.where, detail=detail)


Line = tuple[str, str, str | None]


def _unmet(spec: Spec, need: Dependency, known: Known) -> Line | None:
    """Where, what and a hint when nothing meets a BuildRequires."""
    if need.name in known.packages and need.name not in known.owned:
        provided: Iterable[Dependency] = known.packages[need.name].provides
        who = "ours"
    elif need.name in known.seed:
        provided, who = [of_seed(need.name, known)], "the seed's"
    elif need.name in known.packages:
        # The seed stands for it, in the version of our spec: see `owned` in build/seed.yaml.
        provided, who = known.packages[need.name].provides, "the seed's"
    elif need.name.startswith("/") and known.in_seed(need.name):
        return None
    else:
        return _unknown(spec, need, known)
    if meets([*provided], need):
        return None
    have = ", ".join(str(one) for one in provided if one.name == need.name)
    return (line_of(spec, "BuildRequires", need), f"BuildRequires: {need} is not met: {who} is {have}", None)


def of_seed(name: str, known: Known) -> Dependency:
    version = known.seed[name]
    return Dependency(name=name, relation="=" if version else "", version=version)


def _unknown(spec: Spec, need: Dependency, known: Known) -> Line:
    near = difflib.get_close_matches(need.name, sorted({*known.packages, *known.seed}), 1)
    hint = f"did you mean {near[0]}?" if near else "write a spec for it, or add it to build/seed.yaml"
    if known.broken:
        hint = f"these specs could not be read, and one of them may make it: {few(known.broken)}"
    message = f"BuildRequires: {need} is neither a package of ours nor one of the seed's"
    return line_of(spec, "BuildRequires", need), message, hint


def _conflict(spec: Spec, row: Dependency, there: Sequence[BinaryPackage], known: Known) -> Line | None:
    """Where, what and a hint when the build root holds what a BuildConflicts forbids."""
    where = line_of(spec, "BuildConflicts", row)
    for package in there:
        if meets(package.provides, row):
            return where, f"BuildConflicts: {row} is in the build root: {package.name}", None
    if row.name in known.seed and meets([of_seed(row.name, known)], row):
        return where, f"BuildConflicts: {row} is in the seed", "switch it off with an option of the build instead"
    return None


def line_of(spec: Spec, tag: str, need: Dependency) -> str:
    """``specs/NAME/NAME.spec:LINE`` of the tag that names it; without the line when macros hide it."""
    pattern = re.compile(rf"\s*{tag}\s*:.*(?<![^\s,]){re.escape(need.name)}(?![^\s,])", re.IGNORECASE)
    try:
        lines = spec.path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return next((f"{spec.where}:{number}" for number, line in enumerate(lines, 1) if pattern.match(line)), spec.where)


def few(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - FEW
    return ", ".join(sorted(names)[:FEW]) + (f" and {more} more" if more > 0 else "")
