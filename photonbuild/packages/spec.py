"""Spec records: what rpm itself says of each spec, read inside the sandbox and cached by content."""

from __future__ import annotations

import difflib
import errno
import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photonbuild import code
from photonbuild.cache.caches import Caches
from photonbuild.cache.entry import RECORD, Void
from photonbuild.cache.parts import pack_json
from photonbuild.config.load import Config, load_sources
from photonbuild.config.sources import SourcesFile
from photonbuild.errors import ConfigError, PhotonbuildError, SpecError
from photonbuild.files import read_sealed, sealed, write_json
from photonbuild.keys import key_of
from photonbuild.packages.macros import macro_binds, macro_digests
from photonbuild.packages.package import Dependency, dependencies
from photonbuild.packages.records import check_spec_record
from photonbuild.roots import SPECS, Roots
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds.frozen import FrozenSeed
from photonbuild.sources.local import local_sources
from photonbuild.sources.specfile import built_text
from photonbuild.store import Store

PARSER = "photonbuild.packages.inside.specs"
# Specs of one sandbox: a command line holds that many, and a spec whose code ends them all ends no more.
BATCH = 200
TIMEOUT = 600
AT_ONCE = 8  # questions to a cache


@dataclass(frozen=True, kw_only=True)
class BinaryPackage:
    """A package that a spec makes, as far as the spec itself says."""

    name: str
    arch: str
    license: str
    provides: tuple[Dependency, ...]
    requires: tuple[Dependency, ...]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A parsed spec. `files`: (name, digest) of everything beside it; `expanded`: digest of the expanded text.

    `warnings`: what it printed while it was parsed. `where`: the file in messages.
    """

    name: str
    epoch: int | None
    version: str
    release: str
    license: str
    url: str
    summary: str
    build_requires: tuple[Dependency, ...]
    build_conflicts: tuple[Dependency, ...]
    sources: tuple[str, ...]
    packages: tuple[BinaryPackage, ...]
    expanded: str
    warnings: str
    folder: Path
    files: tuple[tuple[str, str], ...]
    fetched: SourcesFile
    where: str

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.spec"

    @property
    def evr(self) -> str:
        return f"{self.version}-{self.release}"


@dataclass(frozen=True, kw_only=True)
class ReadSpecs:
    """The specs that can be read, by name, and why the others cannot. `fresh`: those that were parsed just now.

    `records`: by name, key and record of those that were parsed here, now or before.
    """

    specs: Mapping[str, Spec]
    broken: Mapping[str, PhotonbuildError]
    fresh: frozenset[str]
    records: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict, repr=False)


def spec_file(roots: Roots, folder: Path) -> str:
    """The spec of a folder in messages."""
    return roots.where(folder / f"{folder.name}.spec")


def where_of(name: str) -> str:
    """The spec of this name below a root, and where it is parsed."""
    return f"specs/{name}/{name}.spec"


def read_specs(config: Config, store: Store, seed: FrozenSeed, caches: Caches | None = None) -> ReadSpecs:
    """All specs. Only those whose files, macros or seed have changed, and that no cache has, are parsed anew.

    What is wrong with one, in rpm's own words where rpm says so, is kept for whoever needs it: `ReadSpecs.broken`.
    """
    shared = {"macros": macro_digests(config), "seed": seed.digest, "code": code.digests([PARSER])}
    inputs: dict[str, tuple[SourcesFile, tuple[tuple[str, str], ...]]] = {}
    records: dict[str, Any] = {}
    broken: dict[str, PhotonbuildError] = {}
    todo: dict[str, Path] = {}
    keys: dict[str, str] = {}
    folders = {name: path for name, path in config.roots.entries(SPECS).items() if path.is_dir()}
    for folder in folders.values():
        try:
            inputs[folder.name] = _beside(config, folder)
        except (ConfigError, SpecError) as error:
            broken[folder.name] = error
            continue
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            broken[folder.name] = SpecError(f"cannot be read: {error}", where=config.roots.where(folder))
            continue
        key = key_of({**shared, "name": folder.name, "files": dict(inputs[folder.name][1])})
        keys[folder.name] = key
        cached = store.use(store.root / "specs" / f"{key}.json")
        record = _cached(cached, folder.name)
        if record is None:
            todo[folder.name] = cached
        else:
            records[folder.name] = record
    if todo and caches is not None and caches.trusted:
        shared = _shared(caches, todo)
        records |= shared
        keys = {name: key for name, key in keys.items() if name not in shared}
        todo = {name: path for name, path in todo.items() if name not in shared}
    if todo:
        for name, answer in zip(todo, _parse(config, store, seed.root, [folders[name] for name in todo]), strict=True):
            try:
                records[name] = _record(spec_file(config.roots, folders[name]), answer)
            except SpecError as error:
                broken[name] = error
            else:
                with store.staging() as work:
                    # Not brought to the disk one by one: one that is cut off there is found out, and read again.
                    write_json(work / "spec", sealed(records[name]))
                    os.replace(work / "spec", todo[name])
                if caches:
                    send(caches, name, todo[name].stem, records[name])
    specs: dict[str, Spec] = {}
    for name in sorted(records):
        folder = folders[name]
        spec = make_spec(folder, records[name], *inputs[name], where=spec_file(config.roots, folder))
        try:
            check_spec(spec)
        except SpecError as error:
            broken[name] = error
        else:
            specs[name] = spec
    return ReadSpecs(
        specs=specs,
        broken=dict(sorted(broken.items())),
        fresh=frozenset(todo),
        records={name: (key, records[name]) for name, key in keys.items() if name in specs},
    )


def _beside(config: Config, folder: Path) -> tuple[SourcesFile, tuple[tuple[str, str], ...]]:
    """What lies beside a spec: its sources.yaml, and name and digest of each file. Raises ConfigError, SpecError."""
    if not (folder / f"{folder.name}.spec").is_file():
        raise SpecError(f"there is no {folder.name}.spec", where=config.roots.where(folder))
    fetched = load_sources(folder, roots=config.roots)
    beside = local_sources(folder, fetched, rebuild=config.rebuilds.get(folder.name, 0), roots=config.roots)
    return fetched, tuple((local.name, local.digest()) for local in beside)


def _cached(path: Path, name: str) -> dict[str, Any] | None:
    try:
        return check_spec_record(read_sealed(path), SpecError, where_of(name))
    except SpecError:
        return None


def _shared(caches: Caches, wanted: Mapping[str, Path]) -> dict[str, Any]:
    """The records that a cache has, by name, of those whose keys are the names of these files."""

    def one(name: str) -> dict[str, Any] | None:
        found = caches.find("spec", name, wanted[name].stem)
        if found is None:
            return None
        try:
            return check_spec_record(caches.json(found, RECORD), SpecError, where_of(name))
        except SpecError as error:
            void = caches.refuse(found, error.message)
        except Void as raised:
            void = raised
        caches.forget(void.entry)
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {name: record for name, record in zip(wanted, pool.map(one, wanted), strict=True) if record is not None}


def send(caches: Caches, name: str, key: str, record: Mapping[str, Any]) -> None:
    """To the caches, in a while, what a spec says."""

    def packed(target: Path) -> int:
        data, size = pack_json(record)
        target.write_bytes(data)
        return size

    caches.push_later("spec", name, key, {RECORD: packed})


def _parse(config: Config, store: Store, seed: Path, folders: Sequence[Path]) -> list[Any]:
    names = [folder.name for folder in folders]
    with store.staging() as work:
        binds = [Bind(code.program(PARSER), "/helper.py"), *macro_binds(config, work)]
        if config.roots.layers[1:]:
            binds += [Bind(folder, f"/{SPECS}/{folder.name}") for folder in folders]
        else:
            binds.append(Bind(config.root / SPECS, f"/{SPECS}"))
        for folder in folders:
            name = folder.name
            text = built_text(folder, config.rebuilds.get(name, 0), where=config.roots.where(folder))
            if text is not None:
                (work / f"{name}.spec").write_text(text, encoding="utf-8")
                binds.append(Bind(work / f"{name}.spec", f"/{where_of(name)}"))
        env = {"SOURCE_DATE_EPOCH": str(config.distribution.source_date_epoch)}
        sandbox = Sandbox(layers=[seed], scratch=store.scratch, binds=binds, env=env, readonly=True)
        parts = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
        return [answer for part in parts for answer in parse_some(sandbox, [f"/{where_of(name)}" for name in part])]


def parse_some(sandbox: Sandbox, paths: Sequence[str], *options: str) -> list[Any]:
    """Answers for these specs. One that ends the whole sandbox is found by halves, and is the only one to suffer."""
    argv = ["python3", "-I", "/helper.py", *options, *paths]
    try:
        done = sandbox.run(argv, timeout=TIMEOUT, error=SpecError)
    except SpecError as error:
        if len(paths) == 1:
            return [{"error": "\n".join(part for part in (error.message, error.detail) if part), "again": True}]
        half = len(paths) // 2
        return [*parse_some(sandbox, paths[:half], *options), *parse_some(sandbox, paths[half:], *options)]
    return _answers(done.stdout, len(paths))


def _answers(text: str, count: int) -> list[Any]:
    """One answer for each spec, whatever was written: a spec's code may have had its hands in it."""
    try:
        answers = json.loads(text)
    except (ValueError, RecursionError):
        answers = None
    if not isinstance(answers, list) or len(answers) != count:
        return [None] * count
    return answers


def _record(where: str, answer: Any) -> dict[str, Any]:
    """The record in an answer. Raises SpecError, with rpm's words for a spec that does not parse."""
    if not isinstance(answer, dict) or not isinstance(answer.get("error", ""), str):
        raise SpecError("the parser gave no answer", where=where, hint="specs are parsed in a sandbox; try it again")
    if "error" in answer:
        text = printable(answer["error"])
        line = re.search(r"line (\d+)", text)
        raise SpecError(
            "rpm cannot parse this spec",
            where=f"{where}:{line[1]}" if line else where,
            detail=text.replace("/specs/", "specs/"),
            hint="specs are parsed in a read-only sandbox without network",
        )
    return check_spec_record(answer.get("spec"), SpecError, where)


def printable(text: str) -> str:
    """Text of a spec for a terminal: control characters are none of it."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def make_spec(
    folder: Path, record: dict[str, Any], fetched: SourcesFile, files: tuple[tuple[str, str], ...], *, where: str = ""
) -> Spec:
    packages = tuple(
        BinaryPackage(
            name=p["name"],
            arch=p["arch"],
            license=p["license"],
            provides=dependencies(p["provides"]),
            requires=dependencies(p["requires"]),
        )
        for p in record["packages"]
    )
    fields = ("name", "epoch", "version", "release", "license", "url", "summary", "expanded", "warnings")
    return Spec(
        **{name: record[name] for name in fields},
        packages=packages,
        sources=tuple(record["sources"]),
        build_requires=dependencies(record["build_requires"]),
        build_conflicts=dependencies(record["build_conflicts"]),
        folder=folder,
        files=files,
        fetched=fetched,
        where=where or where_of(folder.name),
    )


def check_spec(spec: Spec) -> None:
    """The folder carries the spec's name, and each source is either a local file or a locked one."""
    where = spec.where
    if spec.name != spec.folder.name:
        raise SpecError(f"the spec calls itself {spec.name}", where=where, hint="folder, file and Name: must agree")
    known = {name for name, _ in spec.files} | {name for entry in spec.fetched.sources for name in entry.names}
    for source in spec.sources:
        if source not in known:
            near = difflib.get_close_matches(source, sorted(known), 1)
            raise SpecError(
                f"{source} is neither beside the spec nor in its sources.yaml",
                where=where,
                hint=f"did you mean {near[0]}?" if near else f"photonbuild sources lock {spec.name}",
            )
