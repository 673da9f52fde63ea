"""One spec, one build root, one rpmbuild: from locked sources to packages in the store."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from photonbuild.errors import BuildError
from photonbuild.files import read_json, sha256_of, write_json
from photonbuild.keys import key_of, write_inputs
from photonbuild.packages.buildroot import ARGV, Builder, build_sandbox, installed_packages, stage_sources
from photonbuild.packages.built import Built, Cost, load_built
from photonbuild.packages.inputs import build_inputs
from photonbuild.packages.leaks import check_leaks
from photonbuild.packages.package import Package
from photonbuild.packages.spec import Spec
from photonbuild.run import Completed, tail_of
from photonbuild.sandbox.sandbox import Bind
from photonbuild.schedule import Busy

# Seconds after which a build is stopped: these plus so many times what it took before; if that is not known, a day.
LONGEST, SLOWEST, UNKNOWN = 1800.0, 10.0, 86400.0
LIMITS_HINT = "limits: in your own settings sets other bounds, see docs/use/configuration.md"


def lookup(builder: Builder, spec: Spec, done: Mapping[str, Built]) -> tuple[str, dict[str, Any], dict[str, Package]]:
    """(key, inputs, packages of the build root) of the build of `spec`; all it needs must be in `done`."""
    installed = installed_packages(builder, spec, done)
    inputs = build_inputs(spec, builder.environment, {name: p.sha256 for name, p in installed.items()})
    return key_of(inputs), inputs, installed


def build(builder: Builder, spec: Spec, done: Mapping[str, Built]) -> Built:
    """Build one spec, or take it from the store. Raises BuildError with the end of the log.

    Raises Busy while another process builds a package of this name.

    The log is at store/logs/NAME.log while it runs and is kept with the result; a failed build leaves its build root in
    store/failed/NAME for `photonbuild shell`.
    """
    key, inputs, installed = lookup(builder, spec, done)
    # Before the lock: another build of the same spec, with other inputs, may take long.
    if (ready := load_built(builder.store, spec.name, key)) is not None:
        return ready
    with builder.store.lock(f"package-{spec.name}", wait=False) as mine:
        if not mine:
            raise Busy
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
        Bind(out, "/out", readonly=False, links=True),
        Bind(keep, "/keep", readonly=False, links=True),
    ]
    started = time.monotonic()
    done = run_build(builder, spec, installed.values(), binds, work, log)
    if done.returncode:
        raise _failure(builder, spec, work, log, keep, done.stopped)
    inspect_results(out, spec)
    records = read_json(out / "meta.json")
    for record in records:
        record["sha256"] = sha256_of(out / "rpms" / record["file"])
    check_leaks(builder, spec, records, installed)
    shutil.copyfile(log, out / "build.log")
    (out / "meta.json").unlink()
    write_inputs(out, inputs)
    write_json(
        out / "build.json",
        {
            "packages": records,
            "seconds": round(time.monotonic() - started, 1),
            "cpu_seconds": done.cpu_seconds,
            "peak_rss": done.peak_rss,
            "scratch_bytes": done.scratch_bytes,
        },
    )


def run_build(
    builder: Builder, spec: Spec, installed: Iterable[Package], binds: Sequence[Bind], work: Path, log: Path
) -> Completed:
    """Run rpmbuild in a build root in memory; where that is too small, or was never measured to fit, on disk."""
    cost = builder.costs.get(spec.name, Cost(measured=False))
    limits = builder.config.user.limits
    longest = max(LONGEST + SLOWEST * cost.cpu_seconds, 0.0) if cost.measured else UNKNOWN
    memory = builder.rooms.limit(cost, builder.jobs) if limits.memory_gib is None else round(limits.memory_gib * 2**30)
    with builder.rooms.reserve(round(cost.scratch_bytes * 1.25)) as in_memory:
        for upper in (None, work / "upper") if in_memory else (work / "upper",):
            if upper is not None:
                upper.mkdir()
            size = round(memory * 0.75) >> 10
            sandbox = build_sandbox(builder, installed, binds, upper, work=work, tmpfs_size=f"{size}k")
            done = sandbox.run(
                ARGV,
                log=log,
                silence=60 * limits.silent_minutes,
                timeout=longest if limits.hours is None else 3600 * limits.hours,
                memory=memory,
                keeps=True,
                check=False,
                error=BuildError,
            )
            full = done.scratch_bytes > 0.9 * (size << 10)
            if not done.returncode or upper is not None or not (done.out_of_memory or full):
                return done
            with log.open("a", encoding="utf-8") as handle:
                handle.write("# the build root does not fit into memory: once more, on disk\n")
            memory = builder.rooms.limit(Cost(), builder.jobs) if limits.memory_gib is None else memory
            for bind in binds:
                if not bind.readonly:
                    builder.store.remove(bind.source)
                    bind.source.mkdir()
    raise AssertionError("the last attempt returns")


def inspect_results(out: Path, spec: Spec) -> None:
    """A build may leave files and folders of known names, and trees. Raises BuildError for anything else.

    What is read here is read on the host: a link would lead to the host's files.
    """
    allowed = {"meta.json", "rpms", "srpms", "trees"}
    found = [path for path in out.iterdir() if path.name not in allowed]
    for name in ("meta.json", "rpms", "srpms", "trees"):
        path = out / name
        inside = path.iterdir() if path.is_dir() and not path.is_symlink() and name != "trees" else ()
        found += [file for file in inside if not stat.S_ISREG(file.lstat().st_mode)]
        kind = path.lstat().st_mode if os.path.lexists(path) else 0
        if not (stat.S_ISREG(kind) if name == "meta.json" else stat.S_ISDIR(kind)):
            found.append(path)
    if found:
        raise BuildError(
            f"the build of {spec.name} left what is no result: {', '.join(sorted(path.name for path in found))}",
            where=f"specs/{spec.name}/{spec.name}.spec",
            hint="results are made from the packages alone: nothing may write to /out",
        )


def _failure(builder: Builder, spec: Spec, work: Path, log: Path, keep: Path, stopped: str | None) -> BuildError:
    failed = builder.store.root / "failed" / spec.name
    if failed.exists():
        builder.store.remove(failed)
    builder.store.publish(keep, failed)
    return BuildError(
        f"{spec.name} does not build" + (f": {stopped}" if stopped else ""),
        where=f"specs/{spec.name}/{spec.name}.spec",
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
