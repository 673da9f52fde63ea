"""Which packages of the repositories are installed: the newest of each name, and what they require."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Sequence

from photonbuild.documents import nearest
from photonbuild.installer.errors import PackageError
from photonbuild.installer.fetch.repository import Package


def choose(wanted: Sequence[str], available: Iterable[Package]) -> list[Package]:
    """The newest package for each name, name=version, or path of a program.

    Raises PackageError naming all that are missing.
    """
    by_name: dict[str, list[Package]] = {}
    for package in available:
        by_name.setdefault(package.name, []).append(package)
        for path in package.provides & set(wanted):
            by_name.setdefault(path, []).append(package)
    chosen, problems = [], []
    for text in wanted:
        name, _, version = text.partition("=")
        candidates = by_name.get(name, [])
        if not candidates:
            problems.append(f"no repository has '{name}'{nearest(name, by_name)}")
            continue
        matching = [package for package in candidates if not version or version in _versions(package)]
        if not matching:
            there = ", ".join(package.nevr for package in candidates)
            problems.append(f"there is no '{name}' of version {version} (there are: {there})")
            continue
        chosen.append(max(matching, key=functools.cmp_to_key(compare)))
    if problems:
        raise PackageError(problems[0] if len(problems) == 1 else f"{len(problems)} packages are not to be had",
                           where="packages", detail="\n".join(problems) if len(problems) > 1 else None)  # fmt: skip
    return chosen


def _versions(package: Package) -> tuple[str, ...]:
    full = f"{package.version}-{package.release}"
    return package.version, full, f"{package.epoch}:{package.version}", f"{package.epoch}:{full}"


def with_required(
    chosen: Sequence[Package], available: Sequence[Package], unmet: Callable[[Sequence[str]], set[str]]
) -> list[Package]:
    """`chosen` and what they require of `available`, the newest where there are several; rpm judges the result.

    `unmet` says which of some capabilities the system itself does not have. Conditions and versions are rpm's to check.
    """
    result, asked = list(dict.fromkeys(chosen)), set[str]()
    while True:
        names = {name for package in result for name in package.requires if not name.startswith(("rpmlib(", "("))}
        have = {name for package in result for name in (package.name, *package.provides)}
        missing = unmet(sorted(names - have - asked))
        asked |= names
        more = []
        for name in sorted(missing):
            candidates = [package for package in available if name in package.provides or name == package.name]
            if candidates and not any(package in result or package in more for package in candidates):
                more.append(max(candidates, key=functools.cmp_to_key(compare)))
        if not more:
            return result
        result += more


def providers(complaint: str, available: Iterable[Package]) -> list[str]:
    """Names of packages that provide what rpm says is missing ("X is needed by Y")."""
    missing = {line.split()[0] for line in complaint.splitlines() if " is needed by " in line}
    return sorted({package.name for package in available if package.provides & missing or package.name in missing})


def compare(first: Package, second: Package) -> int:
    """-1, 0 or 1 as rpm orders them."""
    epochs = (int(first.epoch or 0), int(second.epoch or 0))
    if epochs[0] != epochs[1]:
        return -1 if epochs[0] < epochs[1] else 1
    return compare_versions(first.version, second.version) or compare_versions(first.release, second.release)


def compare_versions(first: str, second: str) -> int:
    """rpm's order of version strings: segments of digits or letters; '~' is older than the end, '^' newer than it."""
    one, two = (re.findall(r"[0-9]+|[A-Za-z]+|~|\^", text) for text in (first, second))
    for a, b in itertools.zip_longest(one, two, fillvalue=""):
        if _key(a) != _key(b):
            return -1 if _key(a) < _key(b) else 1
    return 0


def _key(segment: str) -> tuple[int, int, str]:
    order = {"~": 0, "": 1, "^": 2}
    if segment in order:
        return order[segment], 0, ""
    if not segment.isdigit():
        return 3, 0, segment
    # As many digits as one likes: int() takes no more than some thousand.
    digits = segment.lstrip("0")
    return 4, len(digits), digits
