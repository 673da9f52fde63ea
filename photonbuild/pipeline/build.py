"""From specs to a repository: builds in order, repodata."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.cache.entry import Void
from photonbuild.config.models import Profile
from photonbuild.events import Finish
from photonbuild.files import locked, read_sealed, write_json
from photonbuild.keys import NAME as INPUTS
from photonbuild.keys import key_of
from photonbuild.log import BuildView
from photonbuild.packages import repo
from photonbuild.packages.build import Outcome, build, lookup
from photonbuild.packages.buildroot import build_sandbox, stage_sources
from photonbuild.packages.built import Built, builds_of
from photonbuild.packages.files import are_here
from photonbuild.packages.graph import levels, wanted_specs
from photonbuild.packages.here import Run
from photonbuild.packages.room import available_memory
from photonbuild.pipeline.fromcaches import bring, to_build, with_caches
from photonbuild.pipeline.places import places
from photonbuild.pipeline.plan import reasons
from photonbuild.pipeline.session import Session
from photonbuild.pipeline.sources import prefetch
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.schedule import Busy, run_graph

WORKER_MEMORY = 1 << 30


def build_packages(
    session: Session, names: Iterable[str], *, keep_going: bool = False, whole: Collection[str] = ()
) -> dict[str, Built]:
    """Build these specs and all they need; returns every result by spec.

    Of those `whole` all files are in the store then; of others what a shared cache says may be all that there is.
    Raises the first error; what was built before it stays in the store.
    """
    names = list(names)
    return with_caches(session, lambda: _build_packages(session, names, keep_going=keep_going, whole=whole))


def _build_packages(
    session: Session, names: Iterable[str], *, keep_going: bool, whole: Collection[str]
) -> dict[str, Built]:
    wanted, problems = session.buildable(names)
    if problems and not keep_going:
        raise session.reporter.last_of(problems)
    session.check_seeds(wanted)
    needs = {name: session.graph.needs[name] & wanted for name in wanted}
    costs = {name: session.costs[name].cpu_seconds for name in wanted}
    workers = worker_count(session.jobs, available_memory(), len(wanted))
    priority = levels(needs, costs)
    with (
        session.reporter.phase("packages"),
        places(session, priority, workers) as (run, workers, on_interrupt),
        BuildView(session.reporter, costs, max(session.jobs, workers - 1)) as view,
        prefetch(session, sorted(to_build(session, wanted), key=lambda name: -priority[name])),
    ):
        jobs = Jobs(session=session, run=run, view=view, needs=needs, whole=whole)
        errors = run_graph(
            needs,
            jobs.build,
            workers=workers,
            priority=priority,
            keep_going=keep_going,
            on_interrupt=on_interrupt,
        )
    remember_costs(session, jobs.done)
    for error in errors.values():
        if isinstance(error, Void):
            raise error
    if errors or problems:
        raise session.reporter.last_of([*problems, *(errors[name] for name in sorted(errors))])
    if view.done > view.cached:
        kept = view.cached - view.shared
        shared = f", {view.shared} from a cache" if view.shared else ""
        session.reporter.info(f"{view.total} packages: {view.done - view.cached} built, {kept} from the store{shared}")
    elif view.shared:
        session.reporter.info(f"{view.total} packages: {view.shared} from a cache, the rest from the store")
    return jobs.done


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """The builds of a run, each a job, which `view` is told of.

    `done`: what came of them. `busy`: those of whom it was said that another process builds them.
    """

    session: Session
    run: Run
    view: BuildView
    needs: Mapping[str, Collection[str]]
    whole: Collection[str]
    done: dict[str, Built] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)

    def build(self, name: str) -> None:
        self.view.start(name)
        started = time.monotonic()
        session = self.session
        try:
            found = build(session.builder, session.specs[name], self.done, self.run, whole=name in self.whole)
            self.done[name] = found.built
        except Busy:
            self.view.postpone(name)
            if name not in self.busy:
                self.busy.add(name)
                session.reporter.info(f"{name}: another photonbuild builds it now; its result is waited for")
            raise
        except BaseException:
            self._finish(name, started)
            raise
        self._finish(name, started, found)

    def _finish(self, name: str, started: float, found: Outcome | None = None) -> None:
        seconds, before = round(time.monotonic() - started, 3), tuple(sorted(self.needs[name]))
        event = Finish(package=name, seconds=seconds, cached=False, ok=found is not None, needs=before)
        if found is not None and found.cached:
            event = event.model_copy(update={"cached": True, "cache": found.cache})
        elif found is not None:
            more = {"cpu_seconds": found.built.cpu_seconds, "why": why_built(found.built)}
            event = event.model_copy(update=more)
        self.view.finish(event)


def why_built(built: Built) -> tuple[str, ...]:
    """What was different from the entry of the store that is most like this one, a line each."""
    others = [folder for folder in built.folder.parent.glob("*") if folder != built.folder]
    return reasons(others, read_sealed(built.folder / INPUTS) or {})


def worker_count(jobs: int, memory: int, specs: int) -> int:
    """How many builds at once: one more than cores, since builds also wait; each with memory to work in (bytes)."""
    return max(1, min(jobs + 1, memory // WORKER_MEMORY, specs))


def remember_costs(session: Session, done: Mapping[str, Built]) -> None:
    path = session.store.root / "timings.json"
    known = read_sealed(path) or {}
    measured = {
        name: {"cpu_seconds": built.cpu_seconds, "scratch_bytes": built.scratch_bytes, "peak_rss": built.peak_rss}
        for name, built in done.items()
    }
    fresh = known | measured
    if fresh != known:
        with session.store.staging() as work:
            write_json(work / "timings", fresh)
            os.replace(work / "timings", path)


def profile_specs(session: Session, profile: Profile) -> frozenset[str]:
    return wanted_specs(session.graph, profile.packages, where=f"build/profiles/{profile.name}.yaml")


def chosen_specs(session: Session, packages: Collection[str], profile: str | None = None) -> frozenset[str]:
    """The specs of these packages; of the profile of this name where none is given; without both, all."""
    if packages:
        return frozenset(session.spec(name).name for name in packages)
    if profile is not None:
        return profile_specs(session, session.config.profile(profile))
    return frozenset(session.specs)


@contextlib.contextmanager
def repository(session: Session, done: Mapping[str, Built]) -> Iterator[Path]:
    """stage/repo: repodata over every package of these builds (debuginfo included), made only when they changed.

    Until the end nobody else makes another of it. Where the files of a build are still in a cache it is metadata alone,
    in another folder: enough to solve.
    """
    if not all(are_here(built) for built in done.values()):
        with session.store.staging() as work, session.reporter.phase("repository"):
            repo.make_metadata(_metadata(done), work, revision=session.config.distribution.source_date_epoch)
            yield work
        return
    rpms = sorted(path for built in done.values() for path in (built.folder / "rpms").glob("*.rpm"))
    stage, key = session.config.stage_dir, key_of({name: built.key for name, built in done.items()})
    with locked(stage / ".repo.lock"):
        with session.reporter.phase("repository"):
            if not repo.is_made(stage / "repo", key):
                epoch = session.config.distribution.source_date_epoch
                repo.make_repository(rpms, stage / "repo", revision=epoch, key=key)
        yield stage / "repo"


def _metadata(done: Mapping[str, Built]) -> dict[str, Path | tuple[str, str, str]]:
    """By the file of each package, where it is, or what a cache says of it."""
    found: dict[str, Path | tuple[str, str, str]] = {}
    for built in done.values():
        if built.shared is not None:
            found |= built.shared.metadata
        else:
            found |= {path.name: path for path in (built.folder / "rpms").glob("*.rpm")}
    return found


def failed_root(session: Session, name: str) -> tuple[Sandbox, bool]:
    """The build root of a package for looking around, with the state of its last failure if there is one."""
    spec = session.spec(name)
    done = build_packages(session, session.graph.needs[spec.name])
    _, _, installed = lookup(session.builder, spec, done)
    bring(session, builds_of(done, installed.values()))
    failed = session.store.use(session.store.failed(spec.name)) / "build"
    binds = []
    if failed.exists():
        binds.append(Bind(failed, "/build", readonly=False, links=True))
    else:
        folder = failed.with_name("sources")
        session.store.discard(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage_sources(session.builder, spec, folder, writable=True)
        binds.append(Bind(folder, "/build/SOURCES", readonly=False, links=True))
    work = session.store.failed(spec.name)
    return build_sandbox(session.builder, spec, installed.values(), binds, work=work), failed.exists()
