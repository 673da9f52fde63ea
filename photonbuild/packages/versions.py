"""Do capabilities with versions meet? By libsolv, which compares them as rpm does."""

from __future__ import annotations

from collections.abc import Iterable

import solv

from photonbuild.packages.package import Dependency

SIGNS = {"<": solv.REL_LT, "=": solv.REL_EQ, ">": solv.REL_GT}


def meets(provided: Iterable[Dependency], wanted: Dependency) -> bool:
    """Does one of these provide what is wanted? Without a version on either side the name is enough, as for rpm.

    A version without a release meets every release of it.
    """
    of_name = [dependency for dependency in provided if dependency.name == wanted.name]
    if not of_name or not wanted.relation or any(not dependency.relation for dependency in of_name):
        return bool(of_name)
    pool = solv.Pool()
    solvable = pool.add_repo("provided").add_solvable()
    solvable.name, solvable.evr, solvable.arch = "provided", "1-1", "noarch"
    for dependency in of_name:
        solvable.add_deparray(solv.SOLVABLE_PROVIDES, _dep(pool, dependency))
    pool.createwhatprovides()
    return bool(pool.whatprovides(_dep(pool, wanted)))


def _dep(pool: solv.Pool, dependency: Dependency) -> solv.Dep:
    flags = sum(SIGNS[sign] for sign in set(dependency.relation))
    return pool.Dep(dependency.name).Rel(flags, pool.str2id(dependency.version))


def upstream_version(debian: str) -> str:
    """The upstream part of a Debian version, without what Debian adds to it: 1:2.44+dfsg-3 is 2.44."""
    return debian.partition(":")[2 if ":" in debian else 0].rpartition("-")[0 if "-" in debian else 2].partition("+")[0]


def compare(one: str, other: str) -> int:
    """Below 0, 0 or above: is [EPOCH:]VERSION[-RELEASE] before, the same as, or after another, as rpm sorts them?"""
    pool = solv.Pool()
    repo = pool.add_repo("compared")
    solvables = [repo.add_solvable(), repo.add_solvable()]
    for solvable, evr in zip(solvables, (one, other), strict=True):
        solvable.evr = evr
    return int(solvables[0].evrcmp(solvables[1]))
