"""What a build takes from shared caches: files when they are needed, and another beginning where one has lost them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from photonbuild.cache.entry import Void
from photonbuild.errors import StoreError
from photonbuild.packages.built import Built
from photonbuild.packages.files import are_here
from photonbuild.packages.shared import bring_files
from photonbuild.pipeline.plan import Step, plan
from photonbuild.pipeline.session import Session

T = TypeVar("T")


def with_caches(session: Session, work: Callable[[], T]) -> T:
    """The outcome of `work`, done again from what is left where a cache has no more what it said it has."""
    while True:
        try:
            return work()
        except Void as void:
            if session.only_cached:
                raise StoreError(void.message, hint="it is to be built once more, and pushed") from None
            session.caches.forget(void.entry)
            session.forget_builds()


def bring(session: Session, builds: Iterable[Built]) -> None:
    """Have the files of these builds in the store. Raises Void."""
    missing = [built for built in builds if not are_here(built)]
    if missing:
        # Either has what makes trees of packages, the image seed in a third of the bytes.
        seed = session.seed if session.seed.is_there else session.image_seed
        with session.reporter.phase("cache"), ThreadPoolExecutor(session.jobs) as pool:
            seed.root  # noqa: B018 - once, not by each of them
            list(pool.map(lambda built: bring_files(session.caches, session.store, seed, [built]), missing))


def to_build(session: Session, wanted: frozenset[str]) -> list[str]:
    """Of these specs those that may have to be built. Raises StoreError where nothing may be, and something has to."""
    if not session.caches:
        return list(wanted)
    steps = plan(session, wanted)
    missing = [step for step in steps if step.state in ("will", "may")]
    if missing and session.only_cached:
        raise not_cached(missing)
    return [step.spec for step in missing]


def not_cached(missing: Sequence[Step]) -> StoreError:
    """The error of a run that may build nothing: what is in no cache, and why."""
    first = [step for step in missing if step.state == "will"]
    later = len(missing) - len(first)
    more = f", and {later} that {'needs' if later == 1 else 'need'} them" if later else ""
    names = ", ".join(step.spec for step in first[:5]) + (f" and {len(first) - 5} more" if len(first) > 5 else "")
    return StoreError(
        f"not in the store and in no cache: {names}{more}",
        detail="\n".join(f"{step.spec}: {step.summary}" for step in first),
        hint="without --from-cache-only they are built here; photonbuild cache push sends them where they are",
    )
