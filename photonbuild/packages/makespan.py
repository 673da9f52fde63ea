"""How long a build would take on so many workers, from what each package takes and what it waits for. Pure.

List scheduling as the scheduler does it: of what is ready, the package with the longest chain behind it goes first, to
any free worker; a worker builds one package at a time, with the cores that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from photonbuild.packages.graph import levels

# The part of a build that one core does whatever there are: configure, packing, linking. See docs/performance.md.
SERIAL = 0.3
MOMENT = 1e-9


@dataclass(frozen=True, kw_only=True)
class Job:
    """A package to build. `needs`: what has to be built before; `fetches`: every file that a worker must have for it,
    by name, with its size; `gives`: what comes back. Sizes in bytes, time in CPU seconds."""

    name: str
    cpu_seconds: float
    needs: frozenset[str] = frozenset()
    fetches: Mapping[str, int] = field(default_factory=dict)
    gives: int = 0


@dataclass(frozen=True, kw_only=True)
class Workers:
    """`count` workers of `cores` cores each. `shared`: cores that all of them have together, where these are fewer.
    `overhead`: seconds of a core that each build takes besides, however small. `serial`: see `SERIAL`."""

    count: int
    cores: int = 1
    shared: float | None = None
    overhead: float = 0.0
    serial: float = SERIAL

    def seconds(self, cpu_seconds: float) -> float:
        """What a build takes on an idle worker: Amdahl's law."""
        if self.cores == 1:
            return cpu_seconds + self.overhead
        return cpu_seconds * (self.serial + (1 - self.serial) / self.cores) + self.overhead


@dataclass(frozen=True, kw_only=True)
class Makespan:
    """The outcome. `seconds` from start to end; `busy`: CPU seconds of all builds; `path`: the chain of packages that
    takes longest, and `path_seconds` how long with any number of these workers; `down`, `up`: bytes to and from the
    workers."""

    seconds: float
    busy: float
    path: tuple[str, ...]
    path_seconds: float
    down: int
    up: int

    def efficiency(self, workers: Workers) -> float:
        """The part of the cores' time that went into builds."""
        cores = min(workers.count * workers.cores, workers.shared or float("inf"))
        return self.busy / (self.seconds * cores) if self.seconds else 1.0


def simulate(jobs: Iterable[Job], workers: Workers) -> Makespan:
    """Build all of these on the workers. Needs that are no job of these are there already; there are no circles."""
    known = {job.name: job for job in jobs}
    needs = {name: job.needs & known.keys() for name, job in known.items()}
    alone = {name: workers.seconds(job.cpu_seconds) for name, job in known.items()}
    priority, users = levels(needs, alone), _users(needs)
    missing = {name: len(wanted) for name, wanted in needs.items()}
    ready = [(-priority[name], name) for name in known if not missing[name]]
    heapify(ready)
    idle, has = list(range(workers.count)), [set[str]() for _ in range(workers.count)]
    left: dict[str, float] = {}
    place: dict[str, int] = {}
    now, down = 0.0, 0
    while ready or left:
        while ready and idle:
            name, number = heappop(ready)[1], heappop(idle)
            fetches = known[name].fetches
            down += sum(fetches[file] for file in fetches.keys() - has[number])
            has[number] |= fetches.keys()
            left[name], place[name] = alone[name], number
        rate = _rate(workers, left, known, alone)
        done = min(left.values())
        now += done / rate
        left = {name: seconds - done for name, seconds in left.items()}
        for name in [name for name, seconds in left.items() if seconds <= MOMENT]:
            del left[name]
            heappush(idle, place.pop(name))
            for user in users[name]:
                missing[user] -= 1
                if not missing[user]:
                    heappush(ready, (-priority[user], user))
    path = _chain(users, needs, priority)
    return Makespan(
        seconds=now,
        busy=sum(job.cpu_seconds for job in known.values()),
        path=path,
        path_seconds=sum(alone[name] for name in path),
        down=down,
        up=sum(job.gives for job in known.values()),
    )


def _users(needs: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in needs}
    for name in sorted(needs):
        for other in needs[name]:
            found[other].append(name)
    return found


def _rate(
    workers: Workers, running: Mapping[str, float], known: Mapping[str, Job], alone: Mapping[str, float]
) -> float:
    """How fast builds go, against each on an idle worker, where all of them share fewer cores than they would use."""
    if workers.shared is None:
        return 1.0
    wanted = sum((known[name].cpu_seconds + workers.overhead) / alone[name] for name in running if alone[name])
    return min(1.0, workers.shared / wanted) if wanted else 1.0


def _chain(
    users: Mapping[str, list[str]], needs: Mapping[str, frozenset[str]], priority: Mapping[str, float]
) -> tuple[str, ...]:
    """The longest chain: from what has the longest behind it, each time on to the user with the longest."""
    path: list[str] = []
    following = [name for name in needs if not needs[name]]
    while following:
        path.append(max(following, key=lambda name: (priority[name], name)))
        following = users[path[-1]]
    return tuple(path)
