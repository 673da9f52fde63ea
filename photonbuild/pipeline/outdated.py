"""Which packages are behind what their providers give, and behind what upstream has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.config.sources import Cargo, DebSrc, GoModule, PyPI, SourceEntry
from photonbuild.errors import SourceError
from photonbuild.packages.spec import Spec
from photonbuild.pipeline import crates, modules
from photonbuild.pipeline.session import Session
from photonbuild.sources import pypi
from photonbuild.sources.debian import SourcePackage, listed, plain
from photonbuild.sources.mirrors import archives_of, is_served

UPDATE = re.compile(r"deb[0-9]+u[0-9]+$")  # Debian's revision of an update to what it has released
TRIES = 4  # of the newest versions that an index lists are asked for: one that does not give these gives none


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A package beside what there is. None: nobody tells.

    `newest`: the newest upstream version that a provider gives; `refused`: newer ones that are listed and not given.
    `fixes`: Debian's newest changes to our version that are given; `used`: those that the package has. `upstream`: the
    newest version of all, where a provider tells it.
    """

    package: str
    version: str
    newest: str | None = None
    refused: tuple[str, ...] = ()
    fixes: str | None = None
    used: str | None = None
    upstream: str | None = None
    problem: str | None = None

    @property
    def is_behind(self) -> bool:
        fixed = self.fixes is not None and self.fixes != self.used and UPDATE.search(self.fixes)
        return self.newest not in (None, self.version) or bool(fixed)


def source_package(entry: SourceEntry) -> tuple[str, str] | None:
    """(source package, upstream version as Debian writes it) of a source that Debian's archive gives."""
    for provider in entry.providers:
        if isinstance(provider, DebSrc):
            name, _, rest = Path(provider.path).name.partition("_")
            for mark in (".orig", ".debian.tar.", ".diff.gz", ".tar."):
                if mark in rest:
                    return name, rest.partition(mark)[0]
    return None


def is_changes(entry: SourceEntry) -> bool:
    """Is this what Debian adds to an upstream archive?"""
    paths = [provider.path for provider in entry.providers if isinstance(provider, DebSrc)]
    return any(".debian.tar." in path or path.endswith(".diff.gz") for path in paths)


def main_source(entries: Sequence[SourceEntry]) -> tuple[int, tuple[str, str]] | None:
    """Place among a spec's sources of the upstream archive that Debian gives, and what `source_package` says of it."""
    for index, entry in enumerate(entries):
        named = source_package(entry)
        if named and not is_changes(entry):
            return index, named
    return None


def is_given(session: Session, path: str) -> bool:
    """Does one of the archives say that it would give this file?"""
    try:
        archives = archives_of(path, session.config.user.mirrors)
    except SourceError:
        return False
    return any(is_served(f"{archive}/{path}") for archive in archives)


def indexes(session: Session, specs: Iterable[Spec]) -> dict[str, list[SourcePackage]]:
    """What Debian's archives list of the source packages of these specs. Raises SourceError."""
    names = {found[0] for spec in specs for entry in spec.fetched.sources if (found := source_package(entry))}
    if session.offline:
        raise SourceError("what is obtainable is not known", hint="run without --offline")
    if not names:
        return {}
    return listed(session.config.user.mirrors, session.config.seeds.build.suite, sorted(names))


def outdated(session: Session, names: Sequence[str]) -> list[Standing]:
    """The standing of each of these specs, in this order."""
    specs = [session.specs[name] for name in names]
    index = indexes(session, specs)
    with session.reporter.phase("providers"), ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda spec: standing(session, spec, index), specs))


def standing(session: Session, spec: Spec, index: dict[str, list[SourcePackage]]) -> Standing:
    """One package. A provider that fails is `problem`, and the others are asked all the same."""
    entries = spec.fetched.sources
    found: dict[str, Any] = {}
    problems = []
    main = main_source(entries)
    if main is not None:
        found |= _of_debian(session, *main[1], entries, index)
    for entry in entries:
        for provider in entry.providers:
            try:
                if isinstance(provider, PyPI):
                    found["upstream"] = pypi.newest(session.config.user.mirrors, provider.project)
                    found.setdefault("newest", found["upstream"])
                elif isinstance(provider, GoModule) and provider.tar is None:
                    found["upstream"] = found["newest"] = modules.newest(session, spec.folder / provider.module)
                elif isinstance(provider, Cargo):
                    folder = spec.folder / provider.crate
                    found["upstream"] = found["newest"] = crates.newest(session, folder, spec.version)
            except SourceError as error:
                problems.append(error.message)
    return Standing(package=spec.name, version=spec.version, problem="; ".join(problems) or None, **found)


def _of_debian(
    session: Session, name: str, ours: str, entries: Sequence[SourceEntry], index: dict[str, list[SourcePackage]]
) -> dict[str, object]:
    packages = index.get(name, [])
    newest, refused = newest_given(session, packages, ours)
    used = next((found[1] for entry in entries if is_changes(entry) and (found := source_package(entry))), None)
    fixes = newest_changes(session, packages, ours)
    return {
        "newest": plain(newest) if newest else None,
        "refused": tuple(dict.fromkeys(refused)),
        "fixes": version_of(fixes.changes) if fixes and fixes.changes else None,
        "used": used,
    }


def version_of(path: str) -> str:
    """The version in the name of a file of an archive, which has no epoch."""
    return Path(path).name.partition("_")[2].partition(".debian.tar.")[0].removesuffix(".diff.gz")


def newest_given(session: Session, packages: Sequence[SourcePackage], ours: str) -> tuple[str | None, list[str]]:
    """(newest upstream version that is given, newer ones that are only listed); `ours` is taken for given."""
    refused: list[str] = []
    for package in packages:
        if package.upstream == ours:
            return ours, refused
        if package.upstream in refused:
            continue
        if len(refused) < TRIES and package.original and is_given(session, package.original):
            return package.upstream, refused
        refused.append(package.upstream)
    return None, refused


def newest_changes(session: Session, packages: Sequence[SourcePackage], ours: str) -> SourcePackage | None:
    """The newest of Debian's source packages of our upstream version whose changes are given."""
    found = [package for package in packages if package.upstream == ours and package.changes]
    return next((package for package in found if is_given(session, str(package.changes))), None)
