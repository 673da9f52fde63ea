"""A synthetic distribution of any size, the same for the same numbers: spec records, spec files, finished builds.

Shaped as real ones are: most specs make a library with its development files; those require what the library's own
headers need, a few specs are needed by hundreds, and the depth grows with the size. No rpm, no sandbox.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from photonbuild.files import write_json

VERSION, RELEASE, ARCH = "1.0", "1.test", "noarch"
EVR = f"{VERSION}-{RELEASE}"
# Packages of one spec, in this order; each has as many as it takes to reach the number that was asked for.
PARTS = ("-libs", "-devel", "", "-tools", "-doc", "-lang", "-data", "-tests")
Record = dict[str, Any]


def need(name: str, relation: str = "", version: str = "") -> dict[str, str]:
    """A dependency in the form in which the programs of the sandbox write it."""
    return {"name": name, "relation": relation, "version": version}


def soname(spec: str) -> str:
    return f"lib{spec}.so.1()(64bit)"


def records(specs: int = 1100, packages: int = 5000, *, seed: int = 11) -> dict[str, Record]:
    """What rpm would say of each spec, by name. Numbers are the order in which they can be built, names are not."""
    chance = random.Random(seed)
    digits = [f"{number:05}" for number in range(specs)]
    chance.shuffle(digits)
    names = [f"s{text}" for text in digits]
    found: dict[str, Record] = {}
    below: dict[str, list[str]] = {}
    for number, name in enumerate(names):
        near = names[max(0, number - 300) : number]
        common = names[: min(number, 40)]
        direct = sorted({*_some(chance, near, 24), *_some(chance, common, 8)})
        below[name] = _some(chance, direct, 12)
        count = packages * (number + 1) // specs - packages * number // specs
        found[name] = _record(name, direct, below[name], PARTS[:count])
    return found


def chain(length: int, *, runtime: bool = False) -> dict[str, Record]:
    """Specs that need each other in one line: the last of them all others. With `runtime` their packages do, too."""
    names = [f"c{number:05}" for number in range(length)]
    return {
        name: _record(name, before, before if runtime else [], PARTS[:2])
        for name, before in ((name, names[max(0, number - 1) : number]) for number, name in enumerate(names))
    }


def _some(chance: random.Random, names: Sequence[str], most: int) -> list[str]:
    return sorted(chance.sample(names, min(len(names), chance.randint(0, most))))


def _record(name: str, direct: Sequence[str], below: Sequence[str], parts: Sequence[str]) -> Record:
    requires = {
        "-libs": [need(f"{other}-libs") for other in below],
        "-devel": [need(f"{name}-libs", "=", EVR), *(need(f"{other}-devel") for other in below)],
    }
    made = [
        {
            "name": f"{name}{part}",
            "arch": ARCH,
            "summary": "x",
            "license": "MIT",
            "provides": [need(f"{name}{part}", "=", EVR)],
            "requires": requires.get(part, [need(f"{name}-libs", "=", EVR)]),
        }
        for part in parts
    ]
    return {
        "name": name,
        "epoch": None,
        "version": VERSION,
        "release": RELEASE,
        "license": "MIT",
        "url": None,
        "summary": "x",
        "build_requires": [need(f"{other}-devel") for other in direct],
        "build_conflicts": [],
        "sources": [],
        "packages": made,
        "expanded": hashlib.sha256(name.encode()).hexdigest(),
        "warnings": "",
    }


def spec_text(record: Record) -> str:
    """A spec of which rpm would say this."""
    name = record["name"]
    head = [f"Name: {name}", f"Version: {VERSION}", f"Release: {RELEASE}", "Summary: x", "License: MIT"]
    head += [f"BuildArch: {ARCH}", *(f"BuildRequires: {row['name']}" for row in record["build_requires"])]
    parts = []
    for package in record["packages"]:
        option = "" if package["name"] == name else f" -n {package['name']}"
        requires = [f"Requires: {' '.join(filter(None, row.values()))}" for row in package["requires"]]
        section = [] if not option else [f"%package{option}", "Summary: x"]
        parts += [*section, *requires, f"%description{option}", "x"]
        parts += [f"%files{option}"]
    return "\n".join([*head, *parts, ""])


def write_checkout(root: Path, tree: Mapping[str, Record]) -> None:
    """specs/NAME/NAME.spec of every record."""
    for name, record in tree.items():
        (root / "specs" / name).mkdir(parents=True)
        (root / "specs" / name / f"{name}.spec").write_text(spec_text(record), encoding="utf-8")


def built_packages(record: Record) -> Iterator[Record]:
    """What a build of the spec would record of each package: also sonames, which no spec declares."""
    for package in record["packages"]:
        name = package["name"]
        library = name.endswith("-libs")
        linked = [need(soname(row["name"][:-5])) for row in package["requires"] if row["name"].endswith("-libs")]
        yield {
            **package,
            "nevra": f"{name}-{EVR}.{ARCH}",
            "file": f"{name}-{EVR}.{ARCH}.rpm",
            "source": f"{record['name']}-{EVR}.src.rpm",
            "sha256": hashlib.sha256(f"file {name}".encode()).hexdigest(),
            "file_size": 9,
            "installed_size": 9,
            "provides": [*package["provides"], *([need(soname(record["name"]))] if library else [])],
            "requires": [*package["requires"], *linked, need("/bin/sh")],
            "elf": [],
        }


def write_built(folder: Path, record: Record, inputs: Mapping[str, Any]) -> None:
    """An entry of the store as a build of the spec leaves it, without files."""
    folder.mkdir(parents=True)
    write_json(folder / "inputs.json", inputs)
    costs = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_rss": 1, "scratch_bytes": 1}
    write_json(folder / "build.json", {"packages": list(built_packages(record)), **costs})
