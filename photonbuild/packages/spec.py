"""Spec records: what rpm itself says of each spec, read inside the sandbox and cached by content."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild import code
from photonbuild.config.load import Config, load_sources
from photonbuild.config.models import SourcesFile
from photonbuild.errors import SpecError
from photonbuild.files import read_sealed, sealed, write_json
from photonbuild.keys import key_of
from photonbuild.packages.macros import macro_binds, macro_digests
from photonbuild.packages.package import Dependency, dependencies
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.sources.local import local_sources
from photonbuild.store import Store

PARSER = "photonbuild.packages.inside.specs"


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
    """A parsed spec. `files`: (name, digest) of everything beside it; `expanded`: digest of the expanded text."""

    name: str
    epoch: int | None
    version: str
    release: str
    license: str
    url: str
    summary: str
    build_requires: tuple[Dependency, ...]
    sources: tuple[str, ...]
    packages: tuple[BinaryPackage, ...]
    expanded: str
    folder: Path
    files: tuple[tuple[str, str], ...]
    fetched: SourcesFile

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.spec"

    @property
    def evr(self) -> str:
        return f"{self.version}-{self.release}"


def spec_folders(config: Config) -> tuple[Path, ...]:
    """Folders of `specs/` that hold a spec. Raises SpecError when one holds none of its own name."""
    folders = sorted(path for path in config.specs_dir.iterdir() if path.is_dir())
    for folder in folders:
        if not (folder / f"{folder.name}.spec").is_file():
            raise SpecError(f"there is no {folder.name}.spec", where=f"specs/{folder.name}")
    return tuple(folders)


def read_specs(config: Config, store: Store, seed: Path, seed_digest: str) -> dict[str, Spec]:
    """All specs by name. Only those whose files, macros or seed have changed are parsed anew.

    Raises SpecError with rpm's own words for a spec that does not parse, prints while it is parsed, or whose sources
    are neither beside it nor in its sources.yaml.
    """
    shared = {"macros": macro_digests(config), "seed": seed_digest, "code": code.digests([PARSER])}
    found: dict[str, Any] = {}
    todo: list[tuple[Path, Path]] = []
    inputs: dict[str, tuple[SourcesFile, tuple[tuple[str, str], ...]]] = {}
    for folder in spec_folders(config):
        fetched = load_sources(folder, root=config.root)
        files = tuple((local.name, local.digest()) for local in local_sources(folder, fetched))
        inputs[folder.name] = (fetched, files)
        key = key_of({**shared, "name": folder.name, "files": dict(files)})
        cached = store.use(store.root / "specs" / f"{key}.json")
        if (record := read_sealed(cached)) is not None:
            found[folder.name] = record
        else:
            todo.append((folder, cached))
    if todo:
        for (folder, cached), answer in zip(todo, _parse(config, store, seed, [f for f, _ in todo]), strict=True):
            if "error" in answer:
                raise _parse_error(config, folder, answer["error"])
            found[folder.name] = answer["spec"]
            with store.staging() as work:
                # Not brought to the disk one by one: one that is cut off there is found out, and read again.
                write_json(work / "spec", sealed(answer["spec"]))
                os.replace(work / "spec", cached)
    specs = {name: make_spec(config.specs_dir / name, found[name], *inputs[name]) for name in sorted(found)}
    for spec in specs.values():
        check_spec(spec)
    return specs


def _parse(config: Config, store: Store, seed: Path, folders: Sequence[Path]) -> list[dict[str, Any]]:
    with store.staging() as work:
        binds = [Bind(config.specs_dir, "/specs"), Bind(code.program(PARSER), "/helper.py"), *macro_binds(config, work)]
        env = {"SOURCE_DATE_EPOCH": str(config.distribution.source_date_epoch)}
        sandbox = Sandbox(layers=[seed], scratch=store.scratch, binds=binds, env=env, readonly=True)
        argv = ["python3", "-I", "/helper.py", *(f"/specs/{folder.name}/{folder.name}.spec" for folder in folders)]
        done = sandbox.run(argv, timeout=600, error=SpecError)
    answers = json.loads(done.stdout)
    assert isinstance(answers, list)
    return answers


def _parse_error(config: Config, folder: Path, text: str) -> SpecError:
    where = f"specs/{folder.name}/{folder.name}.spec"
    line = re.search(r"line (\d+)", text)
    return SpecError(
        "rpm cannot parse this spec, or it printed while it was parsed",
        where=f"{where}:{line[1]}" if line else where,
        detail=text.replace("/specs/", "specs/"),
        hint="specs are parsed in a read-only sandbox without network; %(…) must be silent",
    )


def make_spec(folder: Path, record: dict[str, Any], fetched: SourcesFile, files: tuple[tuple[str, str], ...]) -> Spec:
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
    fields = ("name", "epoch", "version", "release", "license", "url", "summary", "expanded")
    return Spec(
        **{name: record[name] for name in fields},
        packages=packages,
        sources=tuple(record["sources"]),
        build_requires=dependencies(record["build_requires"]),
        folder=folder,
        files=files,
        fetched=fetched,
    )


def check_spec(spec: Spec) -> None:
    """The folder carries the spec's name, and each source is either a local file or a locked one."""
    where = f"specs/{spec.folder.name}/{spec.folder.name}.spec"
    if spec.name != spec.folder.name:
        raise SpecError(f"the spec calls itself {spec.name}", where=where, hint="folder, file and Name: must agree")
    known = {name for name, _ in spec.files} | {entry.file for entry in spec.fetched.sources}
    for source in spec.sources:
        if source not in known:
            near = difflib.get_close_matches(source, sorted(known), 1)
            raise SpecError(
                f"{source} is neither beside the spec nor in its sources.yaml",
                where=where,
                hint=f"did you mean {near[0]}?" if near else f"photonbuild sources lock {spec.name}",
            )
