"""One spec, one build root, one rpmbuild: from locked sources to packages in the store."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.cache.caches import Caches
from photonbuild.cache.entry import Void
from photonbuild.errors import BuildError, StoreError
from photonbuild.files import locked, read_json, read_sealed, sha256_of
from photonbuild.keys import NAME as INPUTS
from photonbuild.keys import key_of, write_inputs
from photonbuild.packages.attempt import inspect_results
from photonbuild.packages.buildroot import Builder, installed_packages
from photonbuild.packages.built import RECORD, Built, builds_of, load_built, write_built
from photonbuild.packages.here import Run, run_here
from photonbuild.packages.inputs import build_inputs
from photonbuild.packages.leaks import check_leaks
from photonbuild.packages.package import Package
from photonbuild.packages.shared import bring_files, complete, find_shared, package_parts
from photonbuild.packages.spec import Spec
from photonbuild.run import tail_of
from photonbuild.schedule import Busy
from photonbuild.store import Store, no_space
from photonbuild.uses import gate, in_use

LIMITS_HINT = "limits: in your own settings sets other bounds, see docs/use/configuration.md"


def lookup(builder: Builder, spec: Spec, done: Mapping[str, Built]) -> tuple[str, dict[str, Any], dict[str, Package]]:
    """(key, inputs, packages of the build root) of the build of `spec`; all it needs must be in `done`."""
    installed = installed_packages(builder, spec, done)
    inputs = build_inputs(
        spec,
        builder.environment,
        {name: p.sha256 for name, p in installed.items()},
        {layer.name: layer.digest for layer in builder.layers_of(spec)},
    )
    return key_of(inputs), inputs, installed


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a spec. `cached`: nothing was built; `cache`: the shared cache that it came from, if just now."""

    built: Built
    cached: bool
    cache: str | None = None


def build(
    builder: Builder, spec: Spec, done: Mapping[str, Built], run: Run = run_here, *, whole: bool = True
) -> Outcome:
    """Build one spec, or take it from the store or a shared cache. Raises BuildError with the end of the log.

    `run` says where: on this machine, or on a worker of an engine.

    Without `whole` the record of what a cache has is enough, and its files come when they are needed. Raises Busy while
    another process builds a package of this name, and Void when a cache has no more what others here were built from.

    The log is at store/logs/NAME.log while it runs and is kept with the result; a failed build leaves its build root in
    store/failed/NAME for `photonbuild shell`, until one succeeds.
    """
    key, inputs, installed = lookup(builder, spec, done)
    store = builder.store
    final = store.package(spec.name, key)
    # Before the lock: another build of the same spec, with other inputs, may take long.
    if (ready := load_built(store, spec.name, key)) is not None and store.is_intact(final, quiet=True):
        return Outcome(built=ready, cached=True)
    if (shared := _shared(builder, spec, key, whole=whole)) is not None:
        return shared
    if builder.caches.only:
        raise StoreError(
            f"{spec.name} is in no cache, and nothing is to be built",
            where=spec.where,
            hint=f"photonbuild why {spec.name}",
        )
    with store.lock(f"package-{spec.name}", wait=False) as mine:
        if not mine:
            raise Busy
        if (ready := _sound(store, final)) is not None:
            return Outcome(built=ready, cached=True)
        store.need_room()
        bring_files(builder.caches, store, builder.seed, builds_of(done, installed.values()))
        with store.staging() as work:
            try:
                _build(builder, spec, work, inputs, installed, run)
                store.publish(work / "out", final)
            except OSError as exc:
                if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise no_space(exc.filename2 or exc.filename) from exc
                raise
        _forget_failure(store, spec.name)
    built = load_built(store, spec.name, key)
    assert built is not None
    send(builder.caches, built)
    return Outcome(built=built, cached=False)


def send(caches: Caches, built: Built) -> None:
    """To the caches, in a while, what was built here."""
    if caches.targets and built.shared is None:
        record, inputs = read_sealed(built.folder / RECORD), read_sealed(built.folder / INPUTS)
        if record is not None and inputs is not None:
            caches.push_later("package", built.spec, built.key, package_parts(built, inputs, record, caches.leave_out))


def load(builder: Builder, name: str, key: str) -> Built | None:
    """The build under this key, if the store or a cache has one."""
    return load_built(builder.store, name, key) or find_shared(builder.caches, builder.store, name, key)


def _shared(builder: Builder, spec: Spec, key: str, *, whole: bool) -> Outcome | None:
    found = find_shared(builder.caches, builder.store, spec.name, key)
    if found is None or found.shared is None:
        return None
    if whole:
        try:
            found = complete(builder.caches, builder.store, builder.seed, found)
        except Void as void:
            # Nothing was concluded from it yet.
            builder.caches.forget(void.entry)
            found = None
    if found is None or found.shared is None:
        return None
    return Outcome(built=found, cached=True, cache=found.shared.cache)


def _sound(store: Store, final: Path) -> Built | None:
    """The finished build in this folder if nothing is wrong with it; what is wrong is removed."""
    built = load_built(store, final.parent.name, final.name)
    if built is not None and store.is_intact(final):
        return built
    if final.exists():
        if built is None:
            store.warn(f"{final.relative_to(store.root)} in the store is damaged: {RECORD}; it is made again")
        store.discard(final)
    return None


def _build(
    builder: Builder,
    spec: Spec,
    work: Path,
    inputs: Mapping[str, Any],
    installed: Mapping[str, Package],
    run: Run,
) -> None:
    out, keep = work / "out", work / "keep"
    log = builder.store.root / "logs" / f"{spec.name}.log"
    log.write_text(f"# {spec.name}-{spec.evr}: {', '.join(installed) or 'nothing'} over the seed\n", encoding="utf-8")
    started = time.monotonic()
    done = run(builder, spec, installed, work, log)
    if done.returncode:
        builder.store.check_full(tail_of(log), log, out)
        raise _failure(builder, spec, log, keep, done.stopped)
    inspect_results(out, spec.name, where=spec.where)
    records = read_json(out / "meta.json")
    for record in records:
        record["sha256"] = sha256_of(out / "rpms" / record["file"])
    try:
        check_leaks(builder, spec, records, installed)
    except BuildError as error:
        (keep / "build").mkdir()
        out.rename(keep / "build" / "out")
        _keep(builder.store, spec.name, keep)
        error.hint = f"{error.hint}\nits packages are in /build/out: photonbuild shell {spec.name}"
        raise
    shutil.copyfile(log, out / "build.log")
    (out / "meta.json").unlink()
    write_inputs(out, inputs)
    write_built(
        out,
        {
            "packages": records,
            "seconds": round(time.monotonic() - started, 1),
            "cpu_seconds": done.cpu_seconds,
            "peak_rss": done.peak_rss,
            "scratch_bytes": done.scratch_bytes,
        },
    )


def _keep(store: Store, name: str, keep: Path) -> None:
    """What a failed build has left takes the place of what an earlier one did."""
    store.discard(store.failed(name))
    keep.rename(store.failed(name))


def _forget_failure(store: Store, name: str) -> None:
    """Remove what failed builds of a spec have left, unless somebody looks around in it."""
    failed = store.failed(name)
    with locked(gate(store.root)):
        if failed.exists() and str(failed.relative_to(store.root)) not in in_use(store.root):
            store.discard(failed)


def _failure(builder: Builder, spec: Spec, log: Path, keep: Path, stopped: str | None) -> BuildError:
    _keep(builder.store, spec.name, keep)
    return BuildError(
        f"{spec.name} does not build" + (f": {stopped}" if stopped else ""),
        where=spec.where,
        detail=error_lines(log),
        hint=(f"{LIMITS_HINT}\n" if stopped else "")
        + f"whole log: {log}\nlook around in its build root: photonbuild shell {spec.name}",
    )


def error_lines(log: Path) -> str:
    """The lines of a build log that say most: the last ones, with make's and rpm's closing remarks left out."""
    lines = tail_of(log, 60).splitlines()
    noise = ("RPM build errors:", "+ exit", "make: ***", "    Bad exit status", "error: Bad exit status")
    kept = [line for line in lines if line.strip() and not line.startswith(noise)]
    return "\n".join(kept[-25:])
