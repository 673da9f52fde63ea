"""A build of a package on a worker of an engine: one action, and what comes home of it.

Home come packages, log and figures. What the packages hold and require is read here, from the packages alone, by the
program and the seed that a build here uses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild import code
from photonbuild.cache.parts import NAME
from photonbuild.errors import BuildError, RemoteError
from photonbuild.packages import worker
from photonbuild.packages.attempt import longest, variables
from photonbuild.packages.buildroot import Builder, stage_sources
from photonbuild.packages.built import Cost
from photonbuild.packages.collect import collect
from photonbuild.packages.package import Package
from photonbuild.packages.spec import Spec
from photonbuild.remote.actions import Action, Again, Result, action
from photonbuild.remote.digest import Blob, Digest
from photonbuild.remote.engine import Engine
from photonbuild.remote.live import Live
from photonbuild.remote.tree import Input
from photonbuild.run import Completed
from photonbuild.seeds.archive import archive

PROGRAMS = ("photonbuild.packages.worker", "photonbuild.packages.inside.build")
ARGV = ("/usr/bin/env", "python3", "-I", "-S", "-B", "-c")
START = "import sys; sys.path.append('lib'); from photonbuild.packages.worker import main; main()"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONGEST = 11 * 3600  # seconds that an action may take: engines have a bound of their own
MARGIN = 900  # seconds that a worker has besides the build: for unpacking, and for ending it
MOST = {worker.LOG: 512 << 20, worker.OUTCOME: 1 << 16}  # bytes
LONGEST_NAME = 220  # of a file, which has a longer one while it is fetched


@dataclass(frozen=True, kw_only=True)
class There:
    """An engine for the builds of one run. `priority`: the highest goes first; `costs`: as all clients know them.

    `reading` bounds how many results are read at once. `workers`: who built what, by spec; a result that another client
    had asked for before is there as well.
    """

    engine: Engine
    priority: Mapping[str, float]
    costs: Mapping[str, Cost]
    said: Callable[[str], None] = lambda text: None
    reading: threading.Semaphore = field(default_factory=threading.Semaphore)
    workers: dict[str, str] = field(default_factory=dict)

    def run(self, builder: Builder, spec: Spec, installed: Mapping[str, Package], work: Path, log: Path) -> Completed:
        """As `photonbuild.packages.here.run_here`, on a worker. Nothing of the state of a failed build comes home."""
        stage_sources(builder, spec, work / "sources")
        for name in ("out", "keep", "home"):
            (work / name).mkdir()
        wanted = self.action(builder, spec, installed, work / "sources")
        home = Home(engine=self.engine, folder=work / "home")
        live = Live(self.engine.connection, log, most=MOST[worker.LOG])
        result = self.engine.actions.run(
            wanted,
            priority=self.priority.get(spec.name, 0.0),
            keep=home.keep,
            said=lambda text: self.said(f"{spec.name}: {text}"),
            live=live,
        )
        self.workers[spec.name] = result.worker
        live.clear()
        home.show(log, result)
        outcome = home.outcome(result)
        if outcome.code == 0:
            with self.reading:
                read_packages(builder, spec, home.folder, work / "out")
        return Completed(
            argv=(*ARGV, START),
            returncode=outcome.code,
            cpu_seconds=outcome.cpu_seconds,
            peak_rss=outcome.peak_rss,
            scratch_bytes=outcome.scratch_bytes,
            stopped=outcome.stopped,
        )

    def action(self, builder: Builder, spec: Spec, installed: Mapping[str, Package], sources: Path) -> Action:
        """The build as an action: the same for every client that would build just this."""
        cost = self.costs.get(spec.name, Cost(measured=False))
        limits = builder.config.user.limits
        seconds = min(longest(cost) if limits.hours is None else 3600 * limits.hours, LONGEST - MARGIN)
        seeds = [
            archive(builder.store, seed, builder.seed, epoch=builder.environment.epoch)
            for seed in (*builder.layers_of(spec), builder.seed)
        ]
        files = {f"sources/{path.name}": Input(blob=Blob.file(path)) for path in sorted(sources.iterdir())}
        job = worker.Job(
            spec=spec.name,
            seeds=tuple(digest for _path, digest, _size in seeds),
            rpms=tuple(package.sha256 for package in installed.values()),
            sources={path.name: path.stat().st_mode & 0o777 for path in sources.iterdir()},
            environment=variables(builder.environment.epoch),
            cost=cost,
            seconds=seconds,
            silence=60 * limits.silent_minutes,
        )
        files["job.json"] = Input(blob=Blob.of(job.text().encode()))
        for path, digest, size in seeds:
            files[f"seeds/{digest}.tar.zst"] = Input(blob=Blob.file(path, Digest(digest, size)))
        for package in installed.values():
            blob = Blob.file(package.path, Digest(package.sha256, package.file_size))
            files[f"rpms/{package.sha256}.rpm"] = Input(blob=blob)
        for bind in builder.macros:
            files[f"macros/{bind.source.name}"] = Input(blob=Blob.file(bind.source))
        for path in code.files(PROGRAMS):
            files[f"lib/{path.relative_to(code.PROJECT).as_posix()}"] = Input(blob=Blob.file(path))
        return action(
            [*ARGV, START],
            files,
            environment={"PATH": PATH},
            outputs=[worker.RESULT],
            platform=self.engine.platform,
            seconds=round(seconds) + MARGIN,
        )


@dataclass(frozen=True, kw_only=True)
class Home:
    """The folder that the files of a result are fetched into."""

    engine: Engine
    folder: Path

    def keep(self, result: Result) -> None:
        """Fetch them. Raises Again when there is nothing but a worker's own trouble."""
        if result.code not in (0, worker.FAILED) and not result.timed_out:
            said = result.stdout.decode(errors="replace").strip().rpartition("\n")[2]
            raise Again(f"worker {result.worker}: {said or f'exit code {result.code}'}")
        for path, digest in sorted(result.files.items()):
            match path.split("/"):
                case [worker.RESULT, worker.LOG | worker.OUTCOME as name]:
                    known = digest.size <= MOST[name]
                case [worker.RESULT, "rpms" | "srpms", name]:
                    known = name.endswith(".rpm") and len(name) <= LONGEST_NAME and bool(NAME.fullmatch(name))
                case _:
                    known = False
            if not known:
                raise RemoteError(f"worker {result.worker} gave what is no result: {path!r}")
            target = self.folder / path.removeprefix(f"{worker.RESULT}/")
            target.parent.mkdir(exist_ok=True)
            self.engine.blobs.fetch(digest, target)

    def show(self, log: Path, result: Result) -> None:
        """Append the worker's log to that of the build."""
        with log.open("ab") as out:
            out.write(f"# on worker {result.worker}{', for somebody before' if result.cached else ''}\n".encode())
            found = self.folder / worker.LOG
            out.write(found.read_bytes() if found.exists() else result.stdout)

    def outcome(self, result: Result) -> worker.Outcome:
        """What the worker says of the build. Raises RemoteError when it says nothing that can be understood."""
        if result.timed_out:
            return worker.Outcome(code=worker.FAILED, stopped="stopped: the engine's bound on its time was reached")
        try:
            found = worker.Outcome.read(self.folder / worker.OUTCOME)
        except (OSError, ValueError, RecursionError):
            raise RemoteError(f"worker {result.worker} does not say how the build ended") from None
        if (found.code == 0) != (result.code == 0):
            raise RemoteError(f"worker {result.worker} says of one build that it succeeded and that it failed")
        return found


def read_packages(builder: Builder, spec: Spec, home: Path, out: Path) -> None:
    """Into `out` what a build here leaves there, from the packages in `home`. Raises BuildError, StoreError."""
    for name in ("rpms", "srpms"):
        (home / name).mkdir(exist_ok=True)
    try:
        collect(builder.store, builder.seed, home / "rpms", out, srpms=home / "srpms")
    except BuildError as error:
        builder.store.check_full(error.detail or error.message, out)
        text = f"the packages of {spec.name} cannot be read"
        raise BuildError(text, where=spec.where, detail=error.detail or error.message) from None
