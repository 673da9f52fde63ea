"""A profile's package names to the full install set, by libsolv over one repository.

Weak dependencies are not followed: what is in an image is what its profile names and what that needs.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import solv

from photonbuild.documents import nearest
from photonbuild.errors import SolveError
from photonbuild.packages.package import Package

REPO_NS = {"r": "http://linux.duke.edu/metadata/repo"}


def solve(
    repo: Path, packages: Mapping[str, Package], names: Sequence[str], *, arch: str, where: str | None = None
) -> tuple[Package, ...]:
    """Everything that must be installed to have `names`, sorted by name.

    `packages` are those of the repository by NEVRA.
    `where` says in messages who asks (a profile). Raises SolveError: for an unknown name with the nearest
    known one, for an unsatisfiable set with the solver's explanation.
    """
    pool = _pool(repo, arch)
    jobs = []
    unknown = []
    for name in sorted(set(names)):
        selection = pool.select(name, solv.Selection.SELECTION_NAME)
        if selection.isempty():
            unknown.append(name)
        else:
            jobs += selection.jobs(solv.Job.SOLVER_INSTALL)
    if unknown:
        known = {solvable.name for solvable in pool.solvables_iter()}
        lines = [f"unknown package '{name}'{nearest(name, known)}" for name in unknown]
        raise SolveError.of(lines, "unknown packages", where=where)
    solver = pool.Solver()
    solver.set_flag(solv.Solver.SOLVER_FLAG_IGNORE_RECOMMENDED, 1)
    problems = solver.solve(jobs)
    if problems:
        raise SolveError("the packages cannot be installed together", where=where, detail=explain(problems))
    installed = solver.transaction().newsolvables()
    return tuple(sorted((packages[str(solvable)] for solvable in installed), key=lambda p: (p.name, p.nevra)))


def explain(problems: Sequence[Any]) -> str:
    """The solver's reasons in words, one line each, without repetitions."""
    lines: dict[str, None] = {}
    for problem in problems:
        for rule in problem.findallproblemrules():
            text = str(rule.info().problemstr())
            if text and not text.startswith("conflicting requests"):
                lines[text] = None
    return "\n".join(lines) or "\n".join(str(problem) for problem in problems)


def requirements(repo: Path, *, arch: str) -> Mapping[str, tuple[str, ...]]:
    """For each package of the repository, the capabilities that nothing in the repository provides."""
    pool = _pool(repo, arch)
    result: dict[str, tuple[str, ...]] = {}
    for solvable in pool.solvables_iter():
        missing = tuple(
            str(dep)
            for dep in solvable.lookup_deparray(solv.SOLVABLE_REQUIRES)
            if not str(dep).startswith("rpmlib(") and not pool.whatprovides(dep)
        )
        if missing:
            result[str(solvable)] = missing
    return dict(sorted(result.items()))


def metadata_files(repo: Path) -> Mapping[str, Path]:
    """``primary`` and the like to their files, as repomd.xml lists them. Raises SolveError."""
    index = repo / "repodata" / "repomd.xml"
    try:
        root = ElementTree.parse(index).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise SolveError(f"not a repository: {error}", where=str(repo)) from None
    return dict(_records(root, repo))


def _records(root: ElementTree.Element, repo: Path) -> Iterator[tuple[str, Path]]:
    for record in root.findall("r:data", REPO_NS):
        location = record.find("r:location", REPO_NS)
        if location is not None:
            yield record.attrib["type"], repo / location.attrib["href"]


def _pool(repo: Path, arch: str) -> Any:
    files = metadata_files(repo)
    pool = solv.Pool()
    pool.setarch(arch)
    loaded = pool.add_repo("repository")
    for kind, flags in (("primary", 0), ("filelists", solv.Repo.REPO_EXTEND_SOLVABLES)):
        handle = solv.xfopen(str(files[kind])) if kind in files else None
        if handle is None or not loaded.add_rpmmd(handle, None if kind == "primary" else "FL", flags):
            raise SolveError(f"cannot read the repository's {kind} metadata", where=str(repo))
        handle.close()
    pool.addfileprovides()
    pool.createwhatprovides()
    return pool
