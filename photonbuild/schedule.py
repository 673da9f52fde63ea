"""Run any graph of jobs: ready jobs with the longest remaining path first, a fixed number at once. Knows no RPM."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from heapq import heappop, heappush

PAUSE = 2.0  # seconds until a job that was busy is tried again


class Busy(Exception):
    """Raised by a job that waits for what another process does: it is tried again later, and its place is free."""


def run_graph(
    needs: Mapping[str, Collection[str]],
    job: Callable[[str], None],
    *,
    workers: int,
    priority: Mapping[str, float],
    keep_going: bool = False,
    on_interrupt: Callable[[], None] = lambda: None,
) -> dict[str, BaseException]:
    """Run `job(name)` for every name after all of `needs[name]`; returns the errors by name.

    After an error nothing new is started (with `keep_going`: nothing that needs the failed job), and what runs is
    waited for. On Ctrl-C `on_interrupt` makes the running jobs end, and the interrupt is raised again.
    """
    waiting = {name: {other for other in wanted if other in needs} for name, wanted in needs.items()}
    users: dict[str, list[str]] = {name: [] for name in needs}
    for name, wanted in waiting.items():
        for other in wanted:
            users[other].append(name)
    ready: list[tuple[float, str]] = []
    later: list[tuple[float, str]] = []
    errors: dict[str, BaseException] = {}
    running: dict[Future[None], str] = {}

    def add(name: str) -> None:
        heappush(ready, (-priority.get(name, 0.0), name))

    def ended(name: str, error: BaseException | None) -> None:
        if isinstance(error, Busy):
            heappush(later, (time.monotonic() + PAUSE, name))
        elif error is not None:
            errors[name] = error
        else:
            for user in users[name]:
                waiting[user].discard(name)
                if not waiting[user]:
                    add(user)

    for name, wanted in waiting.items():
        if not wanted:
            add(name)
    with ThreadPoolExecutor(workers, thread_name_prefix="job") as pool:
        try:
            while ready or later or running:
                while later and later[0][0] <= time.monotonic():
                    add(heappop(later)[1])
                while ready and len(running) < workers and (keep_going or not errors):
                    name = heappop(ready)[1]
                    running[pool.submit(job, name)] = name
                if not running and errors and not keep_going:
                    break
                if not running:
                    time.sleep(PAUSE / 10)
                # A bounded wait lets Ctrl-C through at once.
                for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                    ended(running.pop(future), future.exception())
        except BaseException:
            on_interrupt()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return errors
