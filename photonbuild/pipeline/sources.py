"""Sources of packages: fetched ahead while others build, all of them at once, and held against their digests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from photonbuild.config.load import load_sources
from photonbuild.config.sources import SourceEntry
from photonbuild.errors import PhotonbuildError, SourceError
from photonbuild.files import read_sealed, sha512_of
from photonbuild.keys import NAME as INPUTS
from photonbuild.packages.inputs import digest_of
from photonbuild.pipeline.session import Session
from photonbuild.sandbox import process
from photonbuild.schedule import run_graph
from photonbuild.sources.fetch import fetch, stored
from photonbuild.store import Store


@contextlib.contextmanager
def prefetch(session: Session, names: Sequence[str]) -> Iterator[None]:
    """Fetch sources that no build here had yet, of these specs in this order, while others build.

    A failure is left to the build that needs the source: it tries again and reports it.
    """
    entries = unfetched(session, names)
    over = threading.Event()

    def work() -> None:
        while entries and not over.is_set() and not process.ended():
            # A full disk, too: the build says so, and where.
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


def unfetched(session: Session, names: Sequence[str]) -> list[tuple[Path, SourceEntry]]:
    """Folder and entry of the sources that the store has not, but for specs that were built from just these."""
    found: list[tuple[Path, SourceEntry]] = []
    for name in names:
        spec = session.specs[name]
        missing = [entry for entry in spec.fetched.sources if not stored(session.store, entry).exists()]
        if missing and not was_built_from(session.store, name, spec.fetched.sources):
            found += [(spec.folder, entry) for entry in missing]
    return found


def was_built_from(store: Store, name: str, sources: Sequence[SourceEntry]) -> bool:
    digests = {entry.file: digest_of(entry) for entry in sources}
    entries = store.package(name, "key").parent.glob(f"*/{INPUTS}")
    return any((read_sealed(path) or {}).get("sources") == digests for path in entries)


def fetch_sources(session: Session, folders: Sequence[Path]) -> int:
    """Every source of these specs in the store, eight at a time; their number.

    Raises the first error after trying all.
    """
    entries = {
        f"{folder.name}/{entry.file}": (folder, entry)
        for folder in folders
        for entry in load_sources(folder, roots=session.config.roots).sources
    }

    def job(name: str) -> None:
        fetch(session.fetcher, *entries[name])

    with session.reporter.phase("sources"):
        errors = run_graph(
            dict.fromkeys(entries, ()),
            job,
            workers=8,
            priority={},
            keep_going=True,
            on_interrupt=process.end_all,
        )
    if errors:
        raise session.reporter.last_of([errors[name] for name in sorted(errors)])
    session.reporter.info(f"{len(entries)} files are in the store")
    return len(entries)


def verify_sources(session: Session, folders: Sequence[Path]) -> int:
    """Number of stored sources, each with the right digest; raises SourceError for the first that is not."""
    count = 0
    for folder in folders:
        for entry in load_sources(folder, roots=session.config.roots).sources:
            path = stored(session.store, entry)
            if path.exists():
                if sha512_of(path) != entry.sha512:
                    raise SourceError(
                        f"{entry.file} in the store is damaged", where=str(path), hint="remove it, then fetch again"
                    )
                count += 1
    return count
