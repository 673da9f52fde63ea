"""The specs of a foreign tree as rpm reads them: in parallel, in the sandbox, cached by content.

A spec that rpm refuses is listed with rpm's words, and the rest goes on. Specs are hostile: each has its own bounds of
time, memory and output, and what comes out of the sandbox is made printable before anybody sees it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from photonbuild import code
from photonbuild.errors import ConfigError
from photonbuild.files import read_sealed, sealed, sha256_of
from photonbuild.keys import key_of
from photonbuild.packages.package import Dependency, dependencies
from photonbuild.packages.readspecs import PARSER, parse_some
from photonbuild.packages.records import Count, DependencyRecord, Record, Text, reason
from photonbuild.packages.spec import Spec, printable
from photonbuild.packages.tree import TreeFile, survey
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.store import Store

BATCH = 300
PLACE = "/specs"
Short = Annotated[str, StringConstraints(max_length=4096)]


class DeclaredRecordPackage(Record):
    """A package of a foreign spec."""

    name: Short
    provides: tuple[DependencyRecord, ...]
    requires: tuple[DependencyRecord, ...]
    files: Annotated[tuple[Short, ...], Field(max_length=2000)]


class DeclaredRecord(Record):
    """What packages/inside/specs.py says of a spec of a foreign tree."""

    name: Short
    epoch: Count | None
    version: Short
    release: Short
    wanted: bool
    build_requires: tuple[DependencyRecord, ...]
    packages: tuple[DeclaredRecordPackage, ...]
    warnings: Text


RECORD = TypeAdapter(DeclaredRecord)


@dataclass(frozen=True, kw_only=True)
class DeclaredPackage:
    """A package as its spec declares it. `files`: those by which others ask for it that the spec names in full."""

    name: str
    provides: tuple[Dependency, ...]
    requires: tuple[Dependency, ...]
    files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeclaredSpec:
    """A spec as far as a graph needs it. `path`: in its tree. `wanted`: False where its own condition leaves it out.

    `evr`: [EPOCH:]VERSION-RELEASE. `printed`: what it printed while it was parsed.
    """

    path: str
    name: str
    evr: str
    build_requires: tuple[Dependency, ...]
    packages: tuple[DeclaredPackage, ...]
    wanted: bool = True
    printed: str = ""


@dataclass(frozen=True, kw_only=True)
class DeclaredTree:
    """A tree that was read: its specs, and of those that rpm refuses what it says, by path. `fresh`: read just now."""

    specs: tuple[DeclaredSpec, ...]
    refused: Mapping[str, str]
    fresh: frozenset[str]


def declared(specs: Iterable[Spec]) -> DeclaredTree:
    """The specs of a checkout in the form of a tree that was read."""
    found = [
        DeclaredSpec(
            path=spec.where,
            name=spec.name,
            evr=spec.evr if spec.epoch is None else f"{spec.epoch}:{spec.evr}",
            build_requires=spec.build_requires,
            packages=tuple(
                DeclaredPackage(name=p.name, provides=p.provides, requires=p.requires) for p in spec.packages
            ),
        )
        for spec in specs
    ]
    return DeclaredTree(specs=tuple(found), refused={}, fresh=frozenset())


def read_tree(
    tree: Path, macros: Sequence[Path], *, store: Store, seed: Path, seed_digest: str, epoch: int
) -> DeclaredTree:
    """All specs of the tree, read with rpm's own macros and these files of more. Raises SpecError, ConfigError.

    Only what has changed is parsed; a tree that was read before as it is takes one file of the store.
    """
    files = survey(tree)
    try:
        inputs = {"macros": [sha256_of(path) for path in macros]}
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(error.filename)) from None
    # What decides on a record: the program inside, and how this module takes what it says.
    programs = {**code.digests([PARSER]), __name__: sha256_of(Path(__file__))}
    shared = key_of({**inputs, "seed": seed_digest, "epoch": epoch, "code": programs})
    keys = {file.path: hashlib.sha256(f"{shared} {file.digest}".encode()).hexdigest() for file in files}
    whole = store.use(store.root / "specs" / f"{key_of(keys)}.json")
    answers = (read_sealed(whole) or {}).get("answers")
    fresh: frozenset[str] = frozenset()
    if not isinstance(answers, dict) or answers.keys() != keys.keys():
        answers, fresh = _answers(files, keys, tree, macros, store=store, seed=seed, epoch=epoch)
        if not any(answer.get("again") for answer in answers.values()):
            _write(store, {whole: {"answers": answers}})
    specs = [_spec(path, answer["spec"]) for path, answer in answers.items() if "spec" in answer]
    refused = {path: answer["error"] for path, answer in answers.items() if "spec" not in answer}
    return DeclaredTree(specs=tuple(specs), refused=refused, fresh=fresh)


def _answers(
    files: Sequence[TreeFile],
    keys: Mapping[str, str],
    tree: Path,
    macros: Sequence[Path],
    *,
    store: Store,
    seed: Path,
    epoch: int,
) -> tuple[dict[str, dict[str, Any]], frozenset[str]]:
    """What rpm says of each spec, from the store or now; and which of them were asked now."""
    places = {path: store.root / "specs" / f"{key}.json" for path, key in keys.items()}
    known = {path: read_sealed(place) for path, place in places.items()}
    todo = [file.path for file in files if known[file.path] is None]
    sandbox = Sandbox(
        layers=[seed],
        scratch=store.scratch,
        binds=[
            Bind(tree, PLACE),
            Bind(code.program(PARSER), "/helper.py"),
            # After rpm's own, and in the order in which they are given.
            *(Bind(path, f"/etc/rpm/macros.zz-{number:03}") for number, path in enumerate(macros)),
        ],
        env={"SOURCE_DATE_EPOCH": str(epoch)},
        readonly=True,
    )
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        for path, answer in zip(
            batch, parse_some(sandbox, [f"{PLACE}/{path}" for path in batch], "--tree"), strict=True
        ):
            found[path] = _checked(answer)
    _write(store, {places[path]: answer for path, answer in found.items() if not answer.get("again")})
    answers = {file.path: found.get(file.path) or known[file.path] or {} for file in files}
    return answers, frozenset(todo)


def _write(store: Store, contents: Mapping[Path, dict[str, Any]]) -> None:
    """Not brought to the disk one by one: one that is cut off there is found out, and read again."""
    with store.staging() as work:
        for path, content in contents.items():
            (work / "spec").write_text(json.dumps(sealed(content)), encoding="utf-8")
            os.replace(work / "spec", path)


def _checked(answer: Any) -> dict[str, Any]:
    """The record or the refusal in an answer, whatever was written: the code of a spec may have had its hands in it."""
    if not isinstance(answer, dict) or not isinstance(answer.get("error", ""), str):
        return {"error": "the parser gave no answer", "again": True}
    if "error" in answer:
        text = printable(answer["error"]).replace(f"{PLACE}/", "")
        return {"error": text or "rpm says nothing", **({"again": True} if answer.get("again") else {})}
    try:
        record = RECORD.dump_python(RECORD.validate_python(answer.get("spec"), strict=False), mode="json")
    except (ValidationError, RecursionError, ValueError) as wrong:
        return {"error": f"what came out of the sandbox is no record of rpm's: {reason(wrong)}"}
    return {"spec": _printable(record)}


def _printable(value: Any) -> Any:
    """The record with every text in it fit for a terminal."""
    if isinstance(value, str):
        return value if value.isprintable() else printable(value)
    if isinstance(value, list):
        return [_printable(one) for one in value]
    return {name: _printable(one) for name, one in value.items()} if isinstance(value, dict) else value


def _spec(path: str, record: Mapping[str, Any]) -> DeclaredSpec:
    epoch, version = record["epoch"], f"{record['version']}-{record['release']}"
    return DeclaredSpec(
        path=path,
        name=record["name"],
        evr=version if epoch is None else f"{epoch}:{version}",
        build_requires=dependencies(record["build_requires"]),
        packages=tuple(
            DeclaredPackage(
                name=made["name"],
                provides=dependencies(made["provides"]),
                requires=dependencies(made["requires"]),
                files=tuple(made["files"]),
            )
            for made in record["packages"]
        ),
        wanted=record["wanted"],
        printed=record["warnings"],
    )
