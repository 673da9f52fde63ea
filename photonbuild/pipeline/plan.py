"""What a build would do, and why, without doing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from photonbuild.keys import differences, last_inputs
from photonbuild.packages.build import lookup
from photonbuild.packages.built import Built, load_built
from photonbuild.pipeline.session import Session


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of a plan. `state`: cached, will (build), may (build: it depends on what comes out before it)."""

    spec: str
    evr: str
    state: str
    why: str


def plan(session: Session, names: Iterable[str]) -> list[Step]:
    """What a build of these specs would do, in an order in which it could be done. Builds nothing."""
    wanted = session.graph.closure(names)
    needs = {name: session.graph.needs[name] & wanted for name in wanted}
    done: dict[str, Built] = {}
    steps = []
    for name in topological(needs):
        spec = session.specs[name]
        missing = sorted(needs[name] - done.keys())
        if missing:
            steps.append(Step(spec=name, evr=spec.evr, state="may", why=f"after {', '.join(missing[:3])}"))
            continue
        key, inputs, _ = lookup(session.builder, spec, done)
        ready = load_built(session.store, name, key)
        if ready:
            done[name] = ready
            steps.append(Step(spec=name, evr=spec.evr, state="cached", why=key[:12]))
        else:
            steps.append(Step(spec=name, evr=spec.evr, state="will", why=reason(session, name, inputs)))
    return steps


def reason(session: Session, name: str, inputs: Mapping[str, Any]) -> str:
    """Why a spec has to be built: the inputs that differ from its last build, or that there was none."""
    last = last_inputs(session.store.package(name, "x").parent.glob("*"))
    if last is None:
        return "never built here"
    changed = differences(last, inputs)
    return "; ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")


def topological(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Names so that each comes after all it needs, alphabetical where there is a choice."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name not in seen:
            seen.add(name)
            for other in sorted(needs[name]):
                visit(other)
            order.append(name)

    for name in sorted(needs):
        visit(name)
    return order
