"""Raises a package to another version, takes Debian's patches for it, or counts a rebuild: always with a changelog."""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from photonbuild import documents
from photonbuild.config.load import Config, load_sources, own_rebuilds
from photonbuild.config.sources import SourceEntry
from photonbuild.errors import ConfigError, SourceError
from photonbuild.files import sha1_of
from photonbuild.packages.spec import Spec
from photonbuild.pipeline import outdated, upstream
from photonbuild.pipeline.change import Proposal
from photonbuild.pipeline.session import Session
from photonbuild.run import run
from photonbuild.sources.members import read_member
from photonbuild.sources.specfile import CHANGELOG, read_text, replace_tag, tag, with_entry

REBUILDS = (
    "# How often each spec was built again with nothing of its own changed; written by photonbuild bump --rebuild.\n"
)
FIRST_PATCH = 900  # number of the first patch of Debian's: after those that a spec has of its own


def to_version(session: Session, name: str, version: str | None, reason: str | None = None) -> Proposal:
    """The package with upstream's `version`, or the newest obtainable one. Raises ConfigError, SourceError."""
    spec = _own_spec(session, name)
    raised = upstream.raised(session, spec, version)
    if not raised.files:
        return Proposal(root=session.config.root, notes=raised.notes)
    notes = list(raised.notes)
    for entry in spec.fetched.sources:
        if outdated.is_changes(entry):
            notes.append(
                f"{spec.name}: {entry.file} was for {spec.version}: take it out, or photonbuild bump --patches"
            )
    text = replace_tag(_read(spec.path), "Version", raised.version, spec.name)
    text = replace_tag(text, "Release", "1%{?dist}", spec.name)
    # A macro that has the version as upstream writes it, where packages may not.
    old, new = (re.escape(spec.version.replace("~", "-")), raised.version.replace("~", "-"))
    text = re.sub(rf"^(%global\s+\w+\s+){old}[ \t]*$", rf"\g<1>{new}", text, flags=re.MULTILINE)
    files = {
        **raised.files,
        spec.path: text,
        **_logged(session, spec, f"{raised.version}-1", reason or f"Version {raised.version}"),
        **_counted(session, {spec.name: None}),
    }
    return Proposal(root=session.config.root, files=files, notes=notes)


def take_patches(session: Session, name: str, patterns: Sequence[str], reason: str | None = None) -> Proposal:
    """The package with those of Debian's newest patches for its version whose names match. Raises SourceError."""
    spec = _own_spec(session, name)
    _, ours, packages = upstream.of_debian(session, spec)
    package = outdated.newest_changes(session, packages, ours)
    if package is None or package.changes is None:
        raise SourceError(f"no archive gives Debian's changes to {spec.name} {ours}")
    if package.changes.endswith(".diff.gz"):
        raise SourceError(
            f"Debian's changes to {spec.name} are one patch",
            hint=f"list {package.changes} as a source of its own, and as a Patch of the spec",
        )
    entry, archive = upstream.fetched(session, spec, Path(package.changes).name, package.changes)
    series = [line.split()[0] for line in read_member(archive, "debian/patches/series").splitlines() if _is_patch(line)]
    taken = [each for each in series if any(fnmatch.fnmatch(each.lower(), p.lower()) for p in patterns)]
    if not taken:
        raise SourceError(f"no patch of {Path(package.changes).name} matches", hint=f"it has: {', '.join(series)}")
    text = _with_patches(_read(spec.path), [each.rpartition("/")[2] for each in taken], spec)
    release = _next_release(tag(text, "Release", spec.name))
    text = replace_tag(text, "Release", release, spec.name)
    members = [f"debian/patches/{each}" for each in taken]
    number = release.partition("%")[0]
    fixed = sorted({cve.upper() for each in taken for cve in re.findall(r"cve-\d+-\d+", each, re.IGNORECASE)})
    said = reason or f"Debian's patches of {outdated.version_of(package.changes)}" + (
        f": {', '.join(fixed)}" if fixed else ""
    )
    sources = spec.folder / "sources.yaml"
    files = {
        sources: _with_changes(sources, spec, entry, package.changes, sha1_of(archive), members),
        spec.path: text,
        **_logged(session, spec, f"{spec.version}-{number}", said),
        **_counted(session, {spec.name: None}),
    }
    return Proposal(root=session.config.root, files=files)


def rebuild(session: Session, names: Sequence[str], reason: str | None = None) -> Proposal:
    """These packages with one rebuild more than they have."""
    files: dict[Path, str | None] = {}
    counts: dict[str, int | None] = {}
    for name in names:
        spec = _own_spec(session, name)
        counts[spec.name] = count = session.config.rebuilds.get(spec.name, 0) + 1
        number = tag(_read(spec.path), "Release", spec.name).partition("%")[0]
        files |= _logged(session, spec, f"{spec.version}-{number}.{count}", reason or "Built again")
    return Proposal(root=session.config.root, files={**files, **_counted(session, counts)})


def propose_all(session: Session) -> list[Proposal]:
    """A proposal for each package of which something newer is obtainable; what cannot be proposed says why."""
    found = []
    own = sorted(name for name, spec in session.specs.items() if _is_own(session, spec))
    for standing in outdated.outdated(session, own):
        try:
            if standing.newest not in (None, standing.version):
                found.append(to_version(session, standing.package, None))
            elif standing.is_behind:
                found.append(take_patches(session, standing.package, ["*cve-*"]))
        except (SourceError, ConfigError) as error:
            found.append(Proposal(root=session.config.root, notes=[f"{standing.package}: {error.message}"]))
    return found


def _is_own(session: Session, spec: Spec) -> bool:
    return spec.folder.parent.parent == session.config.root


def _own_spec(session: Session, name: str) -> Spec:
    """A spec that may be changed here. Raises ConfigError for one of what the project extends."""
    spec = session.spec(name)
    if not _is_own(session, spec):
        raise ConfigError(
            "this spec is not the project's own",
            where=spec.where,
            hint=f"a copy of its folder as specs/{spec.name} of the project replaces it, and can be changed",
        )
    return spec


def _with_changes(path: Path, spec: Spec, entry: SourceEntry, place: str, sha1: str, members: Sequence[str]) -> str:
    """sources.yaml with this archive of Debian's changes, instead of an older one that was taken the same way."""
    text, document = _read(path), documents.read(path)
    for index, old in reversed(list(enumerate(load_sources(spec.folder).sources))):
        if outdated.is_changes(old) and old.members:
            node = documents.node_at(document, ("sources", index))
            assert node is not None
            start = text.rindex("\n", 0, node.start_mark.index) + 1
            text = text[:start] + text[node.end_mark.index :].lstrip("\n")
            document = documents.parse_yaml(text, document.name)
    listed = documents.node_at(document, ("sources",))
    assert listed is not None
    last = listed.value[-1]
    indent = " " * (last.start_mark.column - 2)
    lines = [
        f"- file: {entry.file}",
        f"  sha512: {entry.sha512}",
        f"  size: {entry.size}",
        "  providers:",
        "    - type: deb-src",
        f"      path: {place}",
        "    - type: snapshot",
        f"      sha1: {sha1}",
        "  members:",
        *(f"    - {member}" for member in members),
    ]
    end = len(text[: last.end_mark.index].rstrip())
    return text[:end] + "".join(f"\n{indent}{line}" for line in lines) + "\n" + text[end:].lstrip("\n")


def _is_patch(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _with_patches(text: str, names: Sequence[str], spec: Spec) -> str:
    """The spec with these patches in the place of those that Debian's numbers have, applied by %autosetup -p1."""
    text = re.sub(rf"^Patch{FIRST_PATCH // 100}\d\d:.*\n", "", text, flags=re.MULTILINE)
    tags = list(re.finditer(r"^(Source|Patch)\d*:.*\n", text, re.MULTILINE | re.IGNORECASE))
    if not tags or not re.search(r"^%autosetup\b", text, re.MULTILINE):
        raise ConfigError("only a spec with %autosetup can take patches", where=spec.where)
    lines = "".join(f"{f'Patch{FIRST_PATCH + number}:':<16}{name}\n" for number, name in enumerate(names))
    text = text[: tags[-1].end()] + lines + text[tags[-1].end() :]
    return re.sub(r"^%autosetup\b(?!.*-p)", "%autosetup -p1", text, flags=re.MULTILINE)


def _next_release(release: str) -> str:
    number, mark, rest = release.partition("%")
    if not number.isdigit():
        raise ConfigError(f"'{release}' is no release that can be counted")
    return f"{int(number) + 1}{mark}{rest}"


def _logged(session: Session, spec: Spec, evr: str, text: str) -> dict[Path, str | None]:
    """The changelog of a spec with a new entry."""
    path = spec.folder / CHANGELOG
    day = datetime.datetime.now(tz=datetime.UTC).strftime("%a %b %d %Y")
    entry = f"* {day} {author(session.config)} - {evr}\n- {text}"
    return {path: with_entry(_read(path) if path.exists() else "", entry)}


def author(config: Config) -> str:
    """Whose entries of changelogs are, as ``Name <address>``: the user's setting, whom git would name, the packager."""
    if config.user.packager is not None:
        return config.user.packager
    keys = ("user.name", "user.email")
    name, address = (run(["git", "-C", config.root, "config", key], check=False).stdout.strip() for key in keys)
    return f"{name} <{address}>" if name and address else config.distribution.packager


def _counted(session: Session, counts: Mapping[str, int | None]) -> dict[Path, str | None]:
    """build/rebuilds.yaml with these counts; None takes one out. Nothing where nothing changes."""
    path, old = session.config.rebuilds_file, dict(own_rebuilds(session.config.roots))
    new = {name: count for name, count in {**old, **counts}.items() if count}
    if new == old:
        return {}
    lines = "".join(f"  {name}: {count}\n" for name, count in sorted(new.items()))
    return {path: f"{REBUILDS}rebuilds:\n{lines}" if new else None}


def _read(path: Path) -> str:
    """A file of a spec's folder. Raises SpecError."""
    return read_text(path, f"specs/{path.parent.name}/{path.name}")
