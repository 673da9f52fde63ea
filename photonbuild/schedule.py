"""Run any graph of jobs: ready jobs with the longest remaining path first, a fixed number at once. Knows no RPM."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait


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
    waiting = {name: set(wanted) & set(needs) for name, wanted in needs.items()}
    ready = {name for name, wanted in waiting.items() if not wanted}
    errors: dict[str, BaseException] = {}
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="job") as pool:
        try:
            while ready or running:
                while ready and len(running) < workers and (keep_going or not errors):
                    name = max(sorted(ready), key=lambda n: priority.get(n, 0.0))
                    ready.remove(name)
                    del waiting[name]
                    running[pool.submit(job, name)] = name
                if not running:
                    break
                # A bounded wait lets Ctrl-C through at once.
                for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    error = future.exception()
                    if error is not None:
                        errors[name] = error
                        continue
                    for other, wanted in waiting.items():
                        wanted.discard(name)
                        if not wanted:
                            ready.add(other)
        except BaseException:
            on_interrupt()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return errors
