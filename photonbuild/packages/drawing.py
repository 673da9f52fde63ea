"""A graph of requirements as text, as data and in the DOT language: https://graphviz.org/doc/info/lang.html. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from photonbuild.packages.declared import DeclaredTree
from photonbuild.packages.reach import closure
from photonbuild.packages.requirements import Kind, Missing, Requirements, Step


def chosen(graph: Requirements, specs: Sequence[str], kind: Kind, depth: int | None) -> frozenset[str]:
    """These specs and what they need, so many steps deep; without any, all."""
    if not specs:
        return frozenset(graph.specs)
    needs = graph.needs(kind)
    if depth is None:
        return closure(specs, needs.__getitem__)
    found, last = set(specs), set(specs)
    for _ in range(depth):
        last = {other for spec in last for other in needs[spec]} - found
        found |= last
    return frozenset(found)


def text_of(graph: Requirements, specs: Collection[str], kind: Kind) -> Iterator[str]:
    """The specs, each with what it and its packages need."""
    unmet: dict[str, list[Missing]] = {}
    for row in graph.missing:
        unmet.setdefault(graph.maker.get(row.user, row.user), []).append(row)
    for spec in sorted(specs):
        yield f"{spec} {graph.specs[spec].evr}"
        lines = dict.fromkeys(
            f"  {'' if user == spec else f'{user} '}{bond.tag}: {target_of(graph, bond.capability, bond.package)}"
            for user, bond in graph.bonds(spec, kind)
            if graph.maker[bond.package] != spec
        )
        yield from lines
        for row in unmet.get(spec, ()):
            if kind in ("all", "build" if row.tag == "BuildRequires" else "run"):
                there = f"; there is {row.found}" if row.found else ""
                who = "" if row.user == spec else f"{row.user} "
                yield f"  {who}{row.tag}: {row.capability}: not in this tree{there}"


def target_of(graph: Requirements, capability: str, package: str) -> str:
    """What meets a capability, as far as its own words do not say so: ``CAPABILITY → PACKAGE (SPEC)``."""
    maker = graph.maker[package]
    by = package if maker == package else f"{package} ({maker})"
    return capability if capability == by else f"{capability} → {by}"


def chain_text(graph: Requirements, steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        yield f"{step.user} {step.tag}: {target_of(graph, step.capability, step.package)}"


def data_of(graph: Requirements, tree: DeclaredTree, specs: Collection[str], kind: Kind) -> dict[str, Any]:
    """For JSON: the specs with their packages and requirements, and what is wrong with the tree."""
    rows = []
    for name in sorted(specs):
        spec = graph.specs[name]
        needs = [
            {"user": user, "tag": bond.tag, "capability": bond.capability, "package": bond.package,
             "spec": graph.maker[bond.package]}
            for user, bond in graph.bonds(name, kind)
        ]  # fmt: skip
        rows.append(
            {
                "spec": name,
                "path": spec.path,
                "evr": spec.evr,
                "packages": list(graph.made_by(name)),
                "requirements": needs,
                "printed": spec.printed,
            }
        )
    return {
        "specs": rows,
        "refused": [{"path": path, "error": error} for path, error in sorted(tree.refused.items())],
        "left_out": sorted(spec.path for spec in tree.specs if not spec.wanted),
        "missing": [asdict(row) for row in graph.missing if graph.maker.get(row.user, row.user) in specs],
        "circles": [group for group in graph.circles() if set(group) & set(specs)],
    }


def dot_of(graph: Requirements, specs: Collection[str], kind: Kind) -> str:
    """The specs as nodes. What is needed to build is a line, what is needed by packages alone a dashed one."""
    lines = ["digraph specs {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif", fontsize=10];']
    needs = graph.needs(kind)
    for spec in sorted(specs):
        lines.append(f"  {quoted(spec)} [tooltip={quoted(f'{graph.specs[spec].path} {graph.specs[spec].evr}')}];")
        for other, tags in sorted(needs[spec].items()):
            if other in specs:
                dashed = "" if "BuildRequires" in tags else " [style=dashed]"
                lines.append(f"  {quoted(spec)} -> {quoted(other)}{dashed};")
    return "\n".join([*lines, "}", ""])


def chain_dot(graph: Requirements, steps: Sequence[Step]) -> str:
    """A chain of requirements, each link with the capability that binds."""
    lines = ["digraph chain {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif", fontsize=10];']
    for step in steps:
        label = quoted(f"{step.tag}: {step.capability}")
        lines.append(f"  {quoted(step.user)} -> {quoted(step.package)} [label={label}];")
    # A package leads to the spec that makes it where the next requirement is that spec's.
    for step, after in pairwise(steps):
        if after.user != step.package:
            lines.append(f"  {quoted(step.package)} -> {quoted(after.user)} [style=dotted];")
    return "\n".join([*lines, "}", ""])


def quoted(text: str) -> str:
    """A string of the DOT language in which nothing is an escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def tallied(graph: Requirements, tree: DeclaredTree) -> Mapping[str, int]:
    """How many of what there are, in words."""
    return {
        "specs": len(graph.specs),
        "packages": len(graph.maker),
        "requirements": sum(len(bonds) for rows in (graph.build, graph.run) for bonds in rows.values()),
        "refused by rpm": len(tree.refused),
        "left out by their own condition": sum(not spec.wanted for spec in tree.specs),
        "capabilities that nothing here provides": len({row.capability for row in graph.missing}),
        "circles": len(graph.circles()),
    }
