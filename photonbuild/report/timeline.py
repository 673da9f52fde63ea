"""When packages were built: on which lane, which chain of them took longest, how many cores were busy. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from photonbuild.report.record import Work


def lanes(works: Sequence[Work]) -> list[list[Work]]:
    """Each build on the first lane that was free when it began: as many lanes as there ever were builds at once."""
    found: list[list[Work]] = []
    for work in sorted(works, key=lambda work: (work.begin, work.name)):
        free = next((lane for lane in found if lane[-1].end <= work.begin), None)
        if free is None:
            found.append([work])
        else:
            free.append(work)
    return found


def critical_path(works: Sequence[Work]) -> list[Work]:
    """The chain of builds, each needed by the next, that takes longest: with any number of cores it takes that long."""
    known = {work.name: work for work in works}
    total: dict[str, float] = {}
    before: dict[str, str | None] = {}
    # What is needed has ended before what needs it.
    for work in sorted(works, key=lambda work: (work.end, work.name)):
        chain = max((name for name in work.needs if name in total), key=lambda name: (total[name], name), default=None)
        before[work.name] = chain
        total[work.name] = work.seconds + (total[chain] if chain is not None else 0.0)
    name = max(total, key=lambda name: (total[name], name), default=None)
    path = []
    while name is not None:
        path.append(known[name])
        name = before[name]
    return [work for work in reversed(path) if not work.cached]


def busy_cores(works: Sequence[Work], *, begin: float, end: float, steps: int) -> list[float]:
    """How many cores builds kept busy in each of `steps` equal parts of the time from `begin` to `end`.

    A build's CPU seconds are taken to be spread evenly over its time: only their sum is measured.
    """
    width = (end - begin) / steps
    found = [0.0] * steps
    for work in works:
        if work.seconds <= 0 or width <= 0:
            continue
        share = work.cpu_seconds / work.seconds
        first = max(int((work.begin - begin) / width), 0)
        for step in range(first, steps):
            low, high = begin + step * width, begin + (step + 1) * width
            overlap = min(high, work.end) - max(low, work.begin)
            if overlap <= 0:
                break
            found[step] += share * overlap / width
    return found
