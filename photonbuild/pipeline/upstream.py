"""Another upstream version of a package: found with its provider, fetched, and locked in its sources.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild import documents
from photonbuild.config.sources import DebSrc, Provider, PyPI, Snapshot, SourceEntry, Url
from photonbuild.errors import ConfigError, SourceError
from photonbuild.files import sha1_of
from photonbuild.packages.spec import Spec
from photonbuild.pipeline import modules, outdated
from photonbuild.pipeline.session import Session
from photonbuild.sources import pypi
from photonbuild.sources.debian import SourcePackage, plain
from photonbuild.sources.fetch import fetch_anew, stored, with_edits, with_values


@dataclass(frozen=True, kw_only=True)
class Raised:
    """A package of another upstream version: files of its folder, and what it leaves to the user."""

    version: str
    files: Mapping[Path, str]
    notes: Sequence[str] = ()


def raised(session: Session, spec: Spec, version: str | None) -> Raised:
    """The package with this version, or the newest obtainable one. Raises ConfigError, SourceError."""
    entries = list(enumerate(spec.fetched.sources))
    if outdated.main_source(spec.fetched.sources) is not None:
        return _of_archive(session, spec, version)
    if (index := next((n for n, entry in entries if modules.provider_of(entry)), None)) is not None:
        return _of_module(session, spec, index, version)
    if (index := next((n for n, entry in entries if _project(entry)), None)) is not None:
        return _of_index(session, spec, index, version)
    raise ConfigError(
        f"no provider of {spec.name} knows of versions",
        where=session.config.roots.where(spec.folder / "sources.yaml"),
        hint=f"edit it and the spec by hand, then photonbuild sources lock {spec.name}",
    )


def _of_archive(session: Session, spec: Spec, version: str | None) -> Raised:
    main, ours, packages = of_debian(session, spec)
    if version is None:
        found, refused = outdated.newest_given(session, packages, ours)
        if found is None or found == ours:
            return Raised(version=spec.version, files={}, notes=_nothing_newer(spec, refused))
        version = plain(found)
    wanted = next((p for p in packages if version in (p.upstream, plain(p.upstream)) and p.original), None)
    if wanted is None:
        known = ", ".join(dict.fromkeys(plain(p.upstream) for p in packages)) or "none"
        raise SourceError(f"no archive lists {spec.name} {version}", hint=f"listed: {known}")
    assert wanted.original is not None
    archive = fetched(session, spec, _renamed(spec, main, version, wanted.original), wanted.original)
    sources = spec.folder / "sources.yaml"
    changes = _new_source(spec, main, archive, version, wanted.original)
    return Raised(version=version, files={sources: _edited(sources, changes)})


def _of_module(session: Session, spec: Spec, index: int, version: str | None) -> Raised:
    found, files, entry = modules.raised(session, spec, index, version)
    if found == spec.version:
        return Raised(version=found, files={}, notes=_nothing_newer(spec, ()))
    sources = spec.folder / "sources.yaml"
    locked = {index: {"sha512": str(entry.sha512), "size": str(entry.size)}}
    text = with_values(documents.read(sources), sources.read_text(encoding="utf-8"), locked)
    return Raised(version=found, files={**files, sources: text})


def _of_index(session: Session, spec: Spec, index: int, version: str | None) -> Raised:
    """Of an index of Python packages: the file of the same name but for the version."""
    entry = spec.fetched.sources[index]
    project = _project(entry)
    assert project is not None
    chosen = version or pypi.newest(session.config.user.mirrors, project.project)
    if chosen in (None, spec.version):
        return Raised(version=spec.version, files={}, notes=_nothing_newer(spec, ()))
    file = entry.file.replace(spec.version, str(chosen))
    providers = tuple(_at_version(each, spec.version, str(chosen)) for each in entry.providers)
    anew = fetch_anew(session.fetcher, spec.folder, entry.model_copy(update={"file": file, "providers": providers}))
    sources = spec.folder / "sources.yaml"
    changes = _new_source(spec, index, (anew, stored(session.store, anew)), str(chosen), None)
    return Raised(version=str(chosen), files={sources: _edited(sources, changes)})


def _project(entry: SourceEntry) -> PyPI | None:
    return next((each for each in entry.providers if isinstance(each, PyPI)), None)


def _at_version(provider: Provider, old: str, new: str) -> Provider:
    """The provider as it names the file of another version, where it does by name."""
    if isinstance(provider, PyPI):
        return provider.model_copy(update={"file": provider.file.replace(old, new)})
    if isinstance(provider, Url):
        return provider.model_copy(update={"url": provider.url.replace(old, new)})
    return provider


def of_debian(session: Session, spec: Spec) -> tuple[int, str, list[SourcePackage]]:
    """(index of the upstream archive among the sources, its version, what the archives list). Raises ConfigError."""
    main = outdated.main_source(spec.fetched.sources)
    if main is None:
        raise ConfigError(
            f"{spec.name} has no source from a Debian archive",
            where=session.config.roots.where(spec.folder / "sources.yaml"),
            hint=f"edit version and go.mod by hand, then photonbuild sources lock {spec.name}",
        )
    index, (name, ours) = main
    return index, ours, outdated.indexes(session, [spec]).get(name, [])


def _nothing_newer(spec: Spec, refused: Sequence[str]) -> list[str]:
    listed = f"; listed, but not given: {', '.join(dict.fromkeys(refused))}" if refused else ""
    return [f"{spec.name} {spec.version}: nothing newer is obtainable{listed}"]


def fetched(session: Session, spec: Spec, file: str, path: str) -> tuple[SourceEntry, Path]:
    """A file of an archive, in the store, and its locked entry."""
    entry = SourceEntry(file=file, providers=(DebSrc(type="deb-src", path=path),))
    entry = fetch_anew(session.fetcher, spec.folder, entry)
    return entry, stored(session.store, entry)


def _renamed(spec: Spec, index: int, version: str, original: str) -> str:
    """What the source is called with another version, and packed as `original` is."""
    kind = re.search(r"\.tar\.\w+$", original)
    return re.sub(
        r"\.tar\.\w+$", kind[0] if kind else "", spec.fetched.sources[index].file.replace(spec.version, version)
    )


def _new_source(
    spec: Spec, index: int, found_now: tuple[SourceEntry, Path], version: str, original: str | None
) -> dict[tuple[str | int, ...], str]:
    """Values of sources.yaml for the new upstream archive, by their place. `original`: its path in Debian's archive."""
    entry, archive = found_now
    place: tuple[str | int, ...] = ("sources", index)
    found: dict[tuple[str | int, ...], str] = {
        (*place, "file"): entry.file,
        (*place, "sha512"): str(entry.sha512),
        (*place, "size"): str(entry.size),
    }
    for number, provider in enumerate(spec.fetched.sources[index].providers):
        at, new = (*place, "providers", number), _at_version(provider, spec.version, version)
        if isinstance(new, PyPI):
            found[(*at, "file")] = new.file
        elif isinstance(new, Url):
            found[(*at, "url")] = new.url
        elif isinstance(new, DebSrc) and original:
            found[(*at, "path")] = original
        elif isinstance(new, Snapshot):
            found[(*at, "sha1")] = sha1_of(archive)
    return found


def _edited(path: Path, values: Mapping[tuple[str | int, ...], str]) -> str:
    """The file with other values at these places, and nothing else changed."""
    document, text = documents.read(path), path.read_text(encoding="utf-8")
    edits = []
    for place, value in values.items():
        node = documents.node_at(document, place)
        if node is None:
            raise ConfigError(f"key '{place[-1]}' is missing", where=document.where(*place))
        edits.append((node.start_mark.index, node.end_mark.index, value))
    return with_edits(text, edits)
