"""Reads specs: rpm's own word on each, asked for in the sandbox and kept by content."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
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
from photonbuild.packages.records import check_spec_record
from photonbuild.packages.spec import Spec, check_spec, make_spec, printable, spec_file, where_of
from photonbuild.roots import SPECS
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
# What lies beside a spec: its sources.yaml, and name and digest of each file.
Inputs = tuple[SourcesFile, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, kw_only=True)
class ReadSpecs:
    """The specs that can be read, by name, and why the others cannot. `fresh`: those that were parsed just now.

    `records`: by name, key and record of those that were parsed here, now or before.
    """

    specs: Mapping[str, Spec]
    broken: Mapping[str, PhotonbuildError]
    fresh: frozenset[str]
    records: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict, repr=False)


def read_specs(config: Config, store: Store, seed: FrozenSeed, caches: Caches | None = None) -> ReadSpecs:
    """All specs. Only those whose files, macros or seed have changed, and that no cache has, are parsed anew.

    What is wrong with one, in rpm's own words where rpm says so, is kept for whoever needs it: `ReadSpecs.broken`.
    """
    folders = {name: path for name, path in config.roots.entries(SPECS).items() if path.is_dir()}
    inputs, broken = _inputs(config, folders.values())
    same = {"macros": macro_digests(config), "seed": seed.digest, "code": code.digests([PARSER])}
    keys = {name: key_of({**same, "name": name, "files": dict(files)}) for name, (_, files) in inputs.items()}
    paths = {name: store.use(store.root / "specs" / f"{key}.json") for name, key in keys.items()}
    records = {name: record for name, path in paths.items() if (record := _cached(path, name)) is not None}
    if caches is not None and caches.trusted:
        found = _shared(caches, {name: key for name, key in keys.items() if name not in records})
        records |= found
        keys = {name: key for name, key in keys.items() if name not in found}
    todo = [name for name in keys if name not in records]
    answers = _parse(config, store, seed.root, [folders[name] for name in todo]) if todo else []
    for name, answer in zip(todo, answers, strict=True):
        try:
            records[name] = _record(spec_file(config.roots, folders[name]), answer)
        except SpecError as error:
            broken[name] = error
            continue
        _keep(store, paths[name], records[name])
        if caches:
            send(caches, name, keys[name], records[name])
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


def _inputs(config: Config, folders: Iterable[Path]) -> tuple[dict[str, Inputs], dict[str, PhotonbuildError]]:
    """What lies beside each spec, by its name, and what is wrong with those where that cannot be told."""
    inputs: dict[str, Inputs] = {}
    broken: dict[str, PhotonbuildError] = {}
    for folder in folders:
        try:
            inputs[folder.name] = _beside(config, folder)
        except (ConfigError, SpecError) as error:
            broken[folder.name] = error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            broken[folder.name] = SpecError(f"cannot be read: {error}", where=config.roots.where(folder))
    return inputs, broken


def _beside(config: Config, folder: Path) -> Inputs:
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


def _keep(store: Store, path: Path, record: dict[str, Any]) -> None:
    with store.staging() as work:
        # Not brought to the disk one by one: one that is cut off there is found out, and read again.
        write_json(work / "spec", sealed(record))
        os.replace(work / "spec", path)


def _shared(caches: Caches, wanted: Mapping[str, str]) -> dict[str, Any]:
    """The records that a cache has, by name, of the specs with these keys."""

    def one(name: str) -> dict[str, Any] | None:
        found = caches.find("spec", name, wanted[name])
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
