"""What a build would do, and why, without doing it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from photonbuild.keys import Inputs, changes
from photonbuild.packages.build import load, lookup
from photonbuild.packages.built import Built
from photonbuild.packages.reach import postorder
from photonbuild.pipeline.session import Session

State = Literal["cached", "will", "may", "error"]
MOST_REASONS = 3


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of a plan. `state`: cached, will (build), may (build: it depends on what comes out before it), error
    (cannot be built).

    `built` is what is cached, `cache` the shared cache that has it, None where the store has. `why`: the key of what is
    cached; each input that has changed of what will be built; else what comes before it.
    """

    spec: str
    evr: str
    state: State
    why: tuple[str, ...]
    built: Built | None = None
    cache: str | None = None

    @property
    def summary(self) -> str:
        """The reasons in a line."""
        more = len(self.why) - MOST_REASONS
        return "; ".join(self.why[:MOST_REASONS]) + (f" and {more} more" if more > 0 else "")


def plan(session: Session, names: Iterable[str]) -> list[Step]:
    """What a build of these specs would do, in an order in which it could be done. Builds nothing."""
    wanted = session.graph.closure(names)
    needs = {name: session.graph.needs[name] & wanted for name in wanted}
    blocked = session.graph.blocked(wanted)
    done: dict[str, Built] = {}
    steps = []
    for name in postorder(needs):
        spec = session.specs[name]

        def step(state: State, *why: str, name: str = name, evr: str = spec.evr) -> Step:
            return Step(spec=name, evr=evr, state=state, why=why)

        if name in blocked:
            steps.append(step("error", *(str(session.graph.problems[problem]) for problem in blocked[name])))
            continue
        missing = sorted(needs[name] - done.keys())
        if missing:
            steps.append(step("may", f"after {', '.join(missing[:3])}"))
            continue
        key, inputs, _ = lookup(session.builder, spec, done)
        ready = load(session.builder, name, key)
        if ready:
            done[name] = ready
            cache = ready.shared.cache if ready.shared else None
            why = (key[:12], f"in the cache {cache}") if cache else (key[:12],)
            steps.append(Step(spec=name, evr=spec.evr, state="cached", why=why, built=ready, cache=cache))
        else:
            steps.append(step("will", *reasons(session.store.package(name, key).parent.glob("*"), inputs)))
    return steps


def reasons(entries: Iterable[Path], inputs: Inputs) -> tuple[str, ...]:
    """Why something has to be made: the inputs that differ from the entry most like it, or that there is none."""
    found = changes(entries, inputs)
    return ("never built here",) if found is None else tuple(found)
