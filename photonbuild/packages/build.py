"""One spec, one build root, one rpmbuild: from locked sources to packages in the store."""

from __future__ import annotations

import fnmatch
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.config.load import Config
from photonbuild.errors import BuildError
from photonbuild.files import read_json, sha256_of, write_json
from photonbuild.keys import key_of
from photonbuild.packages.graph import Graph
from photonbuild.packages.inputs import BuildEnvironment, build_inputs
from photonbuild.packages.spec import Spec, macro_binds, macros_digest
from photonbuild.run import tail_of
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds.seed import FrozenSeed
from photonbuild.sources.fetch import Fetcher, fetch
from photonbuild.sources.local import local_sources
from photonbuild.store import Store

BUILDER = Path(__file__).parent / "inside" / "build.py"
SILENCE = 900.0  # seconds without output after which a build is stopped
LONGEST, SLOWEST = 1800.0, 10.0  # … and after this many seconds plus so many times what it took before


@dataclass(frozen=True, kw_only=True)
class Package:
    """A built binary package: its RPM in the store and what its header says."""

    name: str
    nevra: str
    arch: str
    license: str
    path: Path
    tree: Path
    sha256: str
    size: int
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    elf: tuple[tuple[str, str], ...]

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset(text.split(" ", 1)[0] for text in self.provides) | {self.name}


@dataclass(frozen=True, kw_only=True)
class Built:
    """All that one spec gave. `seconds`, `cpu_seconds`, `peak_rss`, `scratch_bytes` are of the build that made it."""

    spec: str
    key: str
    packages: tuple[Package, ...]
    seconds: float
    cpu_seconds: float
    peak_rss: int
    scratch_bytes: int
    inputs: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a build took when it was last measured: CPU seconds and bytes written to its build root."""

    cpu_seconds: float = 30.0
    scratch_bytes: int = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Everything that the build of any package needs; shared by all threads, never changed."""

    config: Config
    store: Store
    seed: FrozenSeed
    graph: Graph
    fetcher: Fetcher
    macros: Sequence[Bind]
    environment: BuildEnvironment
    costs: Mapping[str, Cost]
    jobs: int

    @classmethod
    def make(
        cls,
        config: Config,
        store: Store,
        seed: FrozenSeed,
        graph: Graph,
        fetcher: Fetcher,
        costs: Mapping[str, Cost],
        *,
        jobs: int,
    ) -> Builder:
        folder = store.root / "macros" / macros_digest(config)
        folder.mkdir(parents=True, exist_ok=True)
        environment = BuildEnvironment(
            arch=config.distribution.arch,
            epoch=config.distribution.source_date_epoch,
            macros=macros_digest(config),
            seed=seed.digest,
            builder=sha256_of(BUILDER),
        )
        return cls(
            config=config,
            store=store,
            seed=seed,
            graph=graph,
            fetcher=fetcher,
            costs=costs,
            jobs=jobs,
            macros=macro_binds(config, folder),
            environment=environment,
        )


def installed_packages(builder: Builder, spec: Spec, done: Mapping[str, Built]) -> dict[str, Package]:
    """The build root's packages: BuildRequires and what those require, from the specs that `spec` declares it needs.

    Raises BuildError when something required is provided neither by them nor by the seed.
    """
    names = builder.graph.closure(builder.graph.needs[spec.name])
    return with_requirements(builder, builder.graph.roots[spec.name], [done[name] for name in names], spec)


def with_requirements(
    builder: Builder, capabilities: Sequence[str], among: Iterable[Built], spec: Spec
) -> dict[str, Package]:
    """The packages `among` these builds that provide the capabilities, and those that they require in turn.

    Packages that the seed owns stay out. `spec` is named in messages. Raises BuildError.
    """
    available = {package.name: package for built in among for package in built.packages}
    provider: dict[str, str] = {}
    for name in sorted(available):
        if not builder.config.seeds.is_owned(name):
            for capability in available[name].capabilities:
                provider.setdefault(capability, name)
    found: dict[str, Package] = {}
    todo = [(name, spec.name) for name in capabilities]
    while todo:
        capability, user = todo.pop()
        maker = provider.get(capability)
        if maker is None:
            if not seed_provides(builder, capability):
                raise BuildError(
                    f"{user} requires {capability}, which nothing in the build root of {spec.name} provides",
                    where=f"specs/{spec.name}/{spec.name}.spec",
                    hint="add a BuildRequires for the package that has it",
                )
        elif maker not in found:
            found[maker] = available[maker]
            todo += [(text.split(" ", 1)[0], maker) for text in available[maker].requires]
    return dict(sorted(found.items()))


def seed_provides(builder: Builder, capability: str) -> bool:
    """Is this capability one that the seed stands for: a path, its toolchain's libraries, a package it owns?"""
    seeds = builder.config.seeds
    if capability.startswith("/") or seeds.is_owned(capability):
        return True
    return any(fnmatch.fnmatchcase(capability, pattern) for pattern in seeds.toolchain)


def lookup(builder: Builder, spec: Spec, done: Mapping[str, Built]) -> tuple[str, dict[str, Any], dict[str, Package]]:
    """(key, inputs, packages of the build root) of the build of `spec`; all it needs must be in `done`."""
    installed = installed_packages(builder, spec, done)
    inputs = build_inputs(spec, builder.environment, {name: p.sha256 for name, p in installed.items()})
    return key_of(inputs), inputs, installed


def load_built(store: Store, name: str, key: str) -> Built | None:
    """The finished build under this key, or None."""
    folder = store.package(name, key)
    if not (folder / "build.json").exists():
        return None
    record = read_json(folder / "build.json")
    packages = tuple(
        Package(
            path=folder / "rpms" / p["file"],
            tree=folder / "trees" / p["name"],
            elf=tuple((path, digest) for path, digest in p["elf"]),
            provides=tuple(p["provides"]),
            requires=tuple(p["requires"]),
            **{field: p[field] for field in ("name", "nevra", "arch", "license", "sha256", "size")},
        )
        for p in record["packages"]
    )
    fields = ("seconds", "cpu_seconds", "peak_rss", "scratch_bytes", "inputs")
    return Built(spec=name, key=key, packages=packages, folder=folder, **{f: record[f] for f in fields})


def build_sandbox(
    builder: Builder, installed: Iterable[Package], binds: Sequence[Bind], upper: Path | None = None
) -> Sandbox:
    """The build root of a package: the extracted trees of its dependencies over the seed."""
    return Sandbox(
        layers=[*(package.tree for package in installed), builder.seed.root],
        scratch=builder.store.scratch,
        upper=upper,
        binds=[*builder.macros, Bind(BUILDER, "/build.py"), *binds],
        env={
            "HOME": "/build",
            "SOURCE_DATE_EPOCH": str(builder.environment.epoch),
            "PHOTONBUILD_JOBS": str(builder.jobs),
        },
    )


def available_memory() -> int:
    """Bytes that new programs may use, see MemAvailable in proc_meminfo(5)."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def stage_sources(builder: Builder, spec: Spec, folder: Path) -> None:
    """Copy or pack local sources, and link fetched ones, into a folder that becomes SOURCES."""
    folder.mkdir()
    for local in local_sources(spec.folder, spec.fetched):
        local.write(folder / local.name)
    for entry in spec.fetched.sources:
        source = fetch(builder.fetcher, spec.folder, entry)
        try:
            os.link(source, folder / entry.file)
        except OSError:
            shutil.copyfile(source, folder / entry.file)


def build(builder: Builder, spec: Spec, done: Mapping[str, Built]) -> Built:
    """Build one spec, or take it from the store. Raises BuildError with the end of the log.

    The log is at store/logs/NAME.log while it runs and is kept with the result; a failed build leaves its build root in
    store/failed/NAME for `photonbuild shell`.
    """
    key, inputs, installed = lookup(builder, spec, done)
    # Before the lock: another build of the same spec, with other inputs, may take long.
    if (ready := load_built(builder.store, spec.name, key)) is not None:
        return ready
    with builder.store.lock(f"package-{spec.name}"):
        ready = load_built(builder.store, spec.name, key)
        if ready is not None:
            return ready
        with builder.store.staging() as work:
            _build(builder, spec, work, inputs, installed)
            builder.store.publish(work / "out", builder.store.package(spec.name, key))
    built = load_built(builder.store, spec.name, key)
    assert built is not None
    return built


def _build(
    builder: Builder, spec: Spec, work: Path, inputs: Mapping[str, Any], installed: Mapping[str, Package]
) -> None:
    out, keep = work / "out", work / "keep"
    out.mkdir()
    keep.mkdir()
    stage_sources(builder, spec, work / "sources")
    write_json(work / "plan.json", {"spec": f"{spec.name}.spec"})
    log = builder.store.root / "logs" / f"{spec.name}.log"
    log.write_text(f"# {spec.name}-{spec.evr}: {', '.join(installed) or 'nothing'} over the seed\n", encoding="utf-8")
    binds = [
        Bind(work / "sources", "/sources"),
        Bind(work / "plan.json", "/plan.json"),
        Bind(out, "/out", readonly=False),
        Bind(keep, "/keep", readonly=False),
    ]
    cost = builder.costs.get(spec.name, Cost())
    upper = None if cost.scratch_bytes < available_memory() / 2 else work / "upper"
    if upper is not None:
        upper.mkdir()
    sandbox = build_sandbox(builder, installed.values(), binds, upper)
    started = time.monotonic()
    # On failure the state of the build is saved for `photonbuild shell`: the overlay itself is gone with the sandbox.
    script = "python3 -I /build.py /plan.json; code=$?; [ $code = 0 ] || cp -a /build /keep/; exit $code"
    done = sandbox.run(
        ["bash", "-c", script],
        log=log,
        silence=SILENCE,
        timeout=LONGEST + SLOWEST * cost.cpu_seconds,
        check=False,
        error=BuildError,
    )
    if done.returncode:
        raise _failure(builder, spec, work, log, keep)
    records = read_json(out / "meta.json")
    for record in records:
        record["sha256"] = sha256_of(out / "rpms" / record["file"])
    check_leaks(builder, spec, records, installed)
    shutil.copyfile(log, out / "build.log")
    (out / "meta.json").unlink()
    write_json(
        out / "build.json",
        {
            "packages": records,
            "inputs": inputs,
            "seconds": round(time.monotonic() - started, 1),
            "cpu_seconds": done.cpu_seconds,
            "peak_rss": done.peak_rss,
            "scratch_bytes": done.scratch_bytes,
        },
    )


def _failure(builder: Builder, spec: Spec, work: Path, log: Path, keep: Path) -> BuildError:
    failed = builder.store.root / "failed" / spec.name
    if failed.exists():
        builder.store.remove(failed)
    builder.store.publish(keep, failed)
    return BuildError(
        f"{spec.name} does not build",
        where=f"specs/{spec.name}/{spec.name}.spec",
        detail=error_lines(log),
        hint=f"whole log: {log}\nlook around in its build root: photonbuild shell {spec.name}",
    )


def error_lines(log: Path) -> str:
    """The lines of a build log that say most: the last ones, with make's and rpm's closing remarks left out."""
    lines = tail_of(log, 60).splitlines()
    noise = ("RPM build errors:", "+ exit", "make: ***", "    Bad exit status", "error: Bad exit status")
    kept = [line for line in lines if line.strip() and not line.startswith(noise)]
    return "\n".join(kept[-25:])


def check_leaks(
    builder: Builder, spec: Spec, records: Sequence[Mapping[str, Any]], installed: Mapping[str, Package]
) -> None:
    """Every library and pkg-config module that the results require must come from packages of ours in the build root,
    and no ELF file may be one of the seed's own. Raises BuildError with the line to add."""
    known = {text.split(" ", 1)[0] for record in records for text in record["provides"]}
    known |= {capability for package in installed.values() for capability in package.capabilities}
    where = f"specs/{spec.name}/{spec.name}.spec"
    for record in records:
        for text in record["requires"]:
            name = text.split(" ", 1)[0]
            is_library = (".so" in name and name.endswith(")")) or name.startswith("pkgconfig(")
            if is_library and name not in known and not seed_provides(builder, name):
                raise BuildError(
                    f"{record['name']} uses {name} of the seed, not of a package of ours",
                    where=where,
                    hint="add the BuildRequires of the -devel package that has it, or switch the feature off",
                )
        copies = [path for path, digest in record["elf"] if digest in builder.seed.elf]
        if copies and spec.name not in builder.config.seeds.copies:
            raise BuildError(
                f"{record['name']} holds files that are byte for byte the seed's: {', '.join(copies[:5])}",
                where=where,
                hint="packages are built from source",
            )
