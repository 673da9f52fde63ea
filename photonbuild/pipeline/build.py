"""From specs to a repository: sources, builds in order, repodata."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from photonbuild.config.load import load_sources
from photonbuild.config.models import Profile
from photonbuild.errors import PhotonbuildError, SourceError, StoreError
from photonbuild.files import locked, read_sealed, sha512_of, write_json
from photonbuild.keys import key_of
from photonbuild.log import BuildView
from photonbuild.packages import repo
from photonbuild.packages.build import build, lookup
from photonbuild.packages.buildroot import build_sandbox, stage_sources
from photonbuild.packages.built import Built
from photonbuild.packages.graph import levels, wanted_specs
from photonbuild.pipeline.session import Session
from photonbuild.sandbox import process
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.schedule import run_graph
from photonbuild.sources.fetch import fetch, stored


def build_packages(session: Session, names: Iterable[str], *, keep_going: bool = False) -> dict[str, Built]:
    """Build these specs and all they need; returns every result by spec.

    Raises the first error; what was built before it stays in the store.
    """
    session.check_seed()
    wanted = session.graph.closure(names)
    needs = {name: session.graph.needs[name] & wanted for name in wanted}
    done: dict[str, Built] = {}
    costs = {name: session.costs[name].cpu_seconds for name in wanted}
    workers = min(8, session.jobs + 1, len(wanted) or 1)
    priority = levels(needs, costs)
    builder = session.builder
    with (
        session.reporter.phase("packages"),
        BuildView(session.reporter, costs, session.jobs) as view,
        prefetch(session, sorted(wanted, key=lambda name: -priority[name])),
    ):

        def job(name: str) -> None:
            view.start(name)
            started = time.monotonic()
            ok, cached = False, False
            try:
                done[name], cached = build(builder, session.specs[name], done)
                ok = True
            finally:
                view.finish(name, seconds=time.monotonic() - started, cached=cached, ok=ok)

        errors = run_graph(
            needs,
            job,
            workers=workers,
            priority=priority,
            keep_going=keep_going,
            on_interrupt=process.end_all,
        )
    remember_costs(session, done)
    if errors:
        raise first_error(session, errors)
    if view.done > view.cached:
        session.reporter.info(f"{view.total} packages: {view.done - view.cached} built, {view.cached} from the store")
    return done


@contextlib.contextmanager
def prefetch(session: Session, names: Sequence[str]) -> Iterator[None]:
    """Fetch the sources of specs that were never built here while others build, in this order.

    A failure is left to the build that needs the source: it tries again and reports it.
    """
    todo = [name for name in names if not session.store.package(name, "key").parent.exists()]
    entries = [(session.specs[name].folder, entry) for name in todo for entry in session.specs[name].fetched.sources]
    over = threading.Event()

    def work() -> None:
        while entries and not over.is_set() and not process.ended():
            with contextlib.suppress(IndexError, PhotonbuildError, OSError):
                fetch(session.fetcher, *entries.pop(0))

    threads = [threading.Thread(target=work, name=f"fetch-{number}") for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def first_error(session: Session, errors: Mapping[str, BaseException]) -> BaseException:
    """The error to end with; all others are reported now. Where the disk was full that is the one that counts."""
    for error in errors.values():
        if isinstance(error, StoreError):
            return error
    *others, last = [errors[name] for name in sorted(errors)]
    for error in others:
        if isinstance(error, PhotonbuildError):
            session.reporter.error(error)
    return last


def remember_costs(session: Session, done: Mapping[str, Built]) -> None:
    path = session.store.root / "timings.json"
    known = read_sealed(path) or {}
    measured = {
        name: {"cpu_seconds": built.cpu_seconds, "scratch_bytes": built.scratch_bytes} for name, built in done.items()
    }
    fresh = known | measured
    if fresh != known:
        with session.store.staging() as work:
            write_json(work / "timings", fresh)
            os.replace(work / "timings", path)


def profile_specs(session: Session, profile: Profile) -> frozenset[str]:
    return wanted_specs(session.specs, session.graph, profile.packages, where=f"build/profiles/{profile.name}.yaml")


@contextlib.contextmanager
def repository(session: Session, done: Mapping[str, Built]) -> Iterator[Path]:
    """stage/repo: repodata over every package of these builds (debuginfo included), made only when they changed.

    Until the end nobody else makes another of it.
    """
    rpms = sorted(path for built in done.values() for path in (built.folder / "rpms").glob("*.rpm"))
    stage, key = session.config.stage_dir, key_of({name: built.key for name, built in done.items()})
    with locked(stage / ".repo.lock"):
        with session.reporter.phase("repository"):
            if not repo.is_made(stage / "repo", key):
                epoch = session.config.distribution.source_date_epoch
                repo.make_repository(rpms, stage / "repo", revision=epoch, key=key)
        yield stage / "repo"


def failed_root(session: Session, name: str) -> tuple[Sandbox, bool]:
    """The build root of a package for looking around, with the state of its last failure if there is one."""
    spec = session.spec(name)
    done = build_packages(session, session.graph.needs[spec.name])
    _, _, installed = lookup(session.builder, spec, done)
    failed = session.store.use(session.store.failed(spec.name)) / "build"
    binds = []
    if failed.exists():
        binds.append(Bind(failed, "/build", readonly=False))
    else:
        folder = failed.with_name("sources")
        session.store.discard(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage_sources(session.builder, spec, folder, writable=True)
        binds.append(Bind(folder, "/build/SOURCES", readonly=False))
    return build_sandbox(session.builder, installed.values(), binds), failed.exists()


def fetch_sources(session: Session, folders: Sequence[Path]) -> None:
    """Every source of these specs in the store, eight at a time; raises the first error after trying all."""
    entries = {
        f"{folder.name}/{entry.file}": (folder, entry)
        for folder in folders
        for entry in load_sources(folder, root=session.config.root).sources
    }
    with session.reporter.phase("sources"):
        errors = run_graph(
            dict.fromkeys(entries, ()),
            lambda name: void(fetch(session.fetcher, *entries[name])),
            workers=8,
            priority={},
            keep_going=True,
            on_interrupt=process.end_all,
        )
    if errors:
        raise first_error(session, errors)
    session.reporter.info(f"{len(entries)} files are in the store")


def void(value: object) -> None:
    """For a function whose result is not wanted."""


def verify_sources(session: Session, folders: Sequence[Path]) -> int:
    """Number of stored sources, each with the right digest; raises SourceError for the first that is not."""
    count = 0
    for folder in folders:
        for entry in load_sources(folder, root=session.config.root).sources:
            path = stored(session.store, entry)
            if path.exists():
                if sha512_of(path) != entry.sha512:
                    raise SourceError(
                        f"{entry.file} in the store is damaged", where=str(path), hint="remove it, then fetch again"
                    )
                count += 1
    return count
