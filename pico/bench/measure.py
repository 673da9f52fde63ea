"""How fast machines start and what they cost: cold boots, clones, and copies of a zygote or, with KVM, spares.

A start is measured from the request to the agent's first answer (``answered``), to the moment the container's process
runs (``started``) and to its exit code with nothing left of the machine (``ended``). The series ``answer`` only lets
clones answer and ends them: what the machine costs without a container in it. Memory is what the kernel counts: the
anonymous memory of each QEMU, what of it no other shares, and what all of them together take from what is available.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pico.containers import run
from pico.containers.request import Request
from pico.errors import PicoError
from pico.factory import pool, template
from pico.oci.store import Image
from pico.vm import launch, memory
from pico.vm.host import Host
from pico.vm.state import Machine

Say = Callable[[str], None]
WAITING = ("spare", "copy")


@dataclass(frozen=True, kw_only=True)
class Series:
    """Starts of one kind. Seconds, in the order of the starts; `wall` for all of them."""

    name: str
    in_flight: int
    answered: Sequence[float]
    started: Sequence[float]
    ended: Sequence[float]
    wall: float

    def facts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "in_flight": self.in_flight,
            "count": len(self.started),
            "answered": quantiles(self.answered),
            "started": quantiles(self.started),
            "ended": quantiles(self.ended),
            "per_minute": round(60 * len(self.ended) / self.wall, 1),
            "seconds": {
                "answered": _rounded(self.answered),
                "started": _rounded(self.started),
                "ended": _rounded(self.ended),
            },
        }


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Least, median, 90th and 99th percentile and greatest; nearest rank."""
    order = sorted(seconds)

    def rank(share: float) -> float:
        return round(order[min(len(order) - 1, int(share * len(order)))], 4)

    return {"min": rank(0), "median": rank(0.5), "p90": rank(0.9), "p99": rank(0.99), "max": rank(1)}


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in seconds]


def starts(host: Host, image: Image, reference: str, kind: str, count: int, in_flight: int) -> Series:
    """Start `count` machines, `in_flight` at a time, each from a process of its own. Raises PicoError."""
    request = Request(
        image=reference,
        command=["/bin/true"],
        entrypoint="",
        remove=True,
        cold=kind == "cold",
        use_spares=False,
    )
    begun = time.monotonic()
    workers = []
    for number in range(in_flight):
        share = count // in_flight + (number < count % in_flight)
        workers.append(_worker(partial(_some, host, image, request, kind, share)))
    rows: list[list[float]] = []
    wall = 0.0
    for reader, pid in workers:
        with os.fdopen(reader, "rb") as stream:
            answer = json.loads(stream.read() or '{"error": "a worker died"}')
        os.waitpid(pid, 0)
        if "error" in answer:
            raise PicoError(f"a {kind} start failed: {answer['error']}")
        rows += answer["rows"]
        wall = time.monotonic() - begun - (answer["idle"] if in_flight == 1 else 0)
    answered, started, ended = ([row[index] for row in rows] for index in range(3))
    return Series(name=kind, in_flight=in_flight, answered=answered, started=started, ended=ended, wall=wall)


def _worker(work: Callable[[], dict[str, Any]]) -> tuple[int, int]:
    """Run `work` in a child; the descriptor its JSON comes out of, and its process id."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return reader, child
    try:
        answer = work()
    except BaseException as exc:
        answer = {"error": str(exc)}
    try:
        with os.fdopen(writer, "wb") as stream:
            stream.write(json.dumps(answer).encode())
    finally:
        os._exit(0)


def _some(host: Host, image: Image, request: Request, kind: str, count: int) -> dict[str, Any]:
    rows, idle = [], 0.0
    null = os.open(os.devnull, os.O_WRONLY)
    for _ in range(count):
        if kind in WAITING:
            before = time.monotonic()
            pool.fill(host, host.hardware())
            idle += time.monotonic() - before
        rows.append(_once(host, image, request, null, kind))
    return {"rows": rows, "idle": idle}


def _once(host: Host, image: Image, request: Request, null: int, kind: str) -> tuple[float, float, float]:
    """One start; seconds until the agent answered, the container ran, and nothing was left."""
    begun = time.monotonic()
    asked = replace(request, use_spares=kind in WAITING, fill_spares=False)
    container, _ = run.create(host, asked, image, lambda _: None)
    try:
        answered = started = time.monotonic() - begun
        if kind == "answer":
            launch.discard(container.machine)
            return answered, started, time.monotonic() - begun
        container.session.setup(run.setup_of(asked, container.record))
        container.session.start(run.process_of(asked, container.record))
        container.session.started(host.timeout)
        started = time.monotonic() - begun
        code = run.finish(container, container.session.pump(None, null, null))
    except BaseException:
        launch.discard(container.machine)
        raise
    if code:
        raise PicoError(f"the container ended with exit code {code}")
    if kind in WAITING and container.record.birth != kind:
        raise PicoError(f"no {kind} was there")
    return answered, started, time.monotonic() - begun


def alive(host: Host, image: Image, reference: str, count: int, within: int, say: Say) -> dict[str, Any]:
    """Keep up to `count` machines alive within `within` MiB of memory; what they cost. They are gone afterwards."""
    request = Request(
        image=reference,
        command=["/bin/sleep", "36000"],
        entrypoint="",
        remove=True,
        use_spares=host.hardware().copied,
        fill_spares=False,
    )
    template.ensure(host, host.hardware(), say)
    if request.use_spares:
        pool.fill(host, host.hardware())
    made: list[Machine] = []
    (_, before), begun = memory.of_host(), time.monotonic()
    try:
        while len(made) < count and before - memory.of_host()[1] < within - 64:
            container = run.start(host, request, image, say)
            made.append(container.machine)
            run.detach(container, host)
            if len(made) % 50 == 0:
                say(f"{len(made)} alive")
        seconds = time.monotonic() - begun
        time.sleep(2)  # until all of them are idle
        taken = float(before - memory.of_host()[1])
        each = [memory_of(pid) for machine in made if (pid := machine.pid()) is not None]
    finally:
        for machine in made:
            launch.discard(machine)
    return {
        "asked": count,
        "alive": len(each),
        "seconds": round(seconds, 2),
        "memory_taken_mib": round(taken, 1),
        "memory_each_mib": round(taken / max(len(each), 1), 2),
        "anonymous_mib": quantiles([facts["Anonymous"] for facts in each]),
        "own_mib": quantiles([facts["own"] for facts in each]),
        "pss_mib": quantiles([facts["Pss"] for facts in each]),
    }


def memory_of(pid: int) -> dict[str, float]:
    """MiB of a process: Pss, Anonymous, and as ``own`` anonymous memory that it shares with no other process."""
    found = {"Pss": 0.0, "Anonymous": 0.0, "own": 0.0}
    private = 0.0
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, rest = line.partition(":")
        if key in ("Pss", "Private_Clean", "Private_Dirty", "Anonymous"):
            size = int(rest.split()[0]) / 1024
            if key.startswith("Private"):
                private += size
                continue
            found[key] += size
            if key == "Anonymous":  # it comes after the others
                found["own"] += min(size, private)
        elif "-" in key.split(" ")[0]:
            private = 0.0
    return found


def measure(
    host: Host, image: Image, reference: str, *, count: int, keep: int, within: int, say: Say
) -> dict[str, Any]:
    """All figures of this host. Raises PicoError."""
    template.ensure(host, host.hardware(), say)
    series = []
    waiting = "copy" if host.hardware().copied else "spare"
    for kind in ("cold", "answer", "clone", waiting):
        for in_flight in (1, 2):
            if kind == "spare" and in_flight == 2:
                continue  # they are made one at a time: two in flight measure the making
            number = max(count // 4, 4) if kind == "cold" else count
            say(f"{number} {kind} starts, {in_flight} in flight")
            series.append(starts(host, image, reference, kind, number, in_flight))
    result: dict[str, Any] = {
        "accelerator": host.accel,
        "memory_mib": host.memory,
        "cores": len(os.sched_getaffinity(0)),
        "series": [each.facts() for each in series],
    }
    if keep:
        result["alive"] = alive(host, image, reference, keep, within, say)
    return result
