"""A finished build in the store: packages/NAME/KEY/ with rpms/, srpms/, trees/, build.json, inputs.json, build.log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.files import read_sealed, sealed, write_json
from photonbuild.packages.package import Package, dependencies
from photonbuild.store import Store

RECORD = "build.json"


@dataclass(frozen=True, kw_only=True)
class Built:
    """All that one spec gave. `seconds`, `cpu_seconds`, `peak_rss`, `scratch_bytes` are of the build that made it.

    `elf`: by package, path and SHA-256 of every ELF file in it. `shared`: of one that came from a shared cache; its
    files may not be there yet.
    """

    spec: str
    key: str
    packages: tuple[Package, ...]
    elf: Mapping[str, tuple[tuple[str, str], ...]]
    seconds: float
    cpu_seconds: float
    peak_rss: int
    scratch_bytes: int
    folder: Path
    shared: Shared | None = None


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What a shared cache says of a build. `metadata`: by the file of a package, what repositories say of it, as XML:
    primary, filelists, other. `debug`: files of packages that nothing is built with. `found`: the entry, as
    `cache.caches` knows it; here it is none of our business.
    """

    found: Any
    inputs: Mapping[str, Any]
    record: Mapping[str, Any]
    metadata: Mapping[str, tuple[str, str, str]]
    debug: tuple[str, ...]
    cache: str | None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a build took when it was last measured: CPU seconds, bytes written to its build root, its largest process.

    What is None was never measured.
    """

    cpu_seconds: float = 30.0
    scratch_bytes: int = 1 << 30
    peak_rss: int | None = None
    measured: bool = True


def load_built(store: Store, name: str, key: str) -> Built | None:
    """The finished build under this key, or None where there is none or its record is damaged. It is in use now."""
    folder = store.use(store.package(name, key))
    record = read_sealed(folder / RECORD)
    return None if record is None else built_of(record, name, key, folder)


def built_of(record: Mapping[str, Any], name: str, key: str, folder: Path, shared: Shared | None = None) -> Built:
    """The build that a record tells of, with its files in `folder`."""
    packages = tuple(
        Package(
            path=folder / "rpms" / p["file"],
            provides=dependencies(p["provides"]),
            requires=dependencies(p["requires"]),
            **{
                field: p[field]
                for field in ("name", "nevra", "arch", "license", "source", "sha256", "file_size", "installed_size")
            },
        )
        for p in record["packages"]
    )
    elf = {p["name"]: tuple((path, digest) for path, digest in p["elf"]) for p in record["packages"]}
    fields = ("seconds", "cpu_seconds", "peak_rss", "scratch_bytes")
    return Built(
        spec=name,
        key=key,
        packages=packages,
        elf=elf,
        folder=folder,
        shared=shared,
        **{f: record[f] for f in fields},
    )


def write_built(folder: Path, record: Mapping[str, Any]) -> None:
    """Put down in `folder`, which holds the files of a build, what `load_built` reads."""
    write_json(folder / RECORD, sealed(dict(record)))


def builds_of(done: Mapping[str, Built], packages: Iterable[Package]) -> list[Built]:
    """Those of these builds that have made these packages."""
    folders = {package.path.parents[1] for package in packages}
    return [built for built in done.values() if built.folder in folders]


def tree_of(package: Package) -> Path:
    """The extracted files of a package that was built here."""
    return package.path.parents[1] / "trees" / package.name
