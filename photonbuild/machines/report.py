"""What came of the checks of an image: results, the report as a table, and the error of a failed check."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.errors import VerifyError


@dataclass(frozen=True, kw_only=True)
class Check:
    """One test: `outcome` is passed, failed or skipped; `message` says why it is not passed."""

    name: str
    outcome: str
    seconds: float
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Boot:
    """One machine: seconds from the start of QEMU to each stage, memory used when idle (bytes), and its checks."""

    firmware: str
    accel: str
    stages: Mapping[str, float]
    memory_used: int
    checks: Sequence[Check] = field(default_factory=tuple)

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.outcome != "passed"]


@dataclass(frozen=True, kw_only=True)
class Report:
    image: Path
    boots: Sequence[Boot]

    @property
    def failed(self) -> list[tuple[str, Check]]:
        return [(boot.firmware, check) for boot in self.boots for check in boot.failed]


def require(report: Report) -> None:
    """Raises VerifyError when a check of the report did not pass."""
    if report.failed:
        lines = [f"{firmware}: {check.name}: {check.message}" for firmware, check in report.failed]
        raise VerifyError(
            f"{len(lines)} of {sum(len(boot.checks) for boot in report.boots)} checks failed",
            where=report.image.name,
            detail="\n".join(lines),
        )


def parse_junit(text: str) -> tuple[Check, ...]:
    """The tests of a JUnit XML report, in the order in which they ran."""
    checks = []
    for case in ElementTree.fromstring(text).iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        group = case.attrib.get("classname", "").rpartition(".")[2].removeprefix("test_")
        name = case.attrib["name"].removeprefix("test_").replace("_", " ")
        message = "" if bad is None else "\n".join(filter(None, [bad.attrib.get("message"), bad.text]))
        outcome = "passed" if bad is None else "skipped" if bad.tag == "skipped" else "failed"
        checks.append(
            Check(name=f"{group}: {name}", outcome=outcome, seconds=float(case.attrib.get("time", 0)), message=message)
        )
    return tuple(checks)


def stage_table(report: Report) -> list[tuple[str, ...]]:
    """Rows of the stage table, the heading first: one column for each boot, seconds since the start of QEMU."""
    names = list(dict.fromkeys(name for boot in report.boots for name in boot.stages))
    rows: list[tuple[str, ...]] = [
        ("stage", *(f"{boot.firmware} ({boot.accel.partition(',')[0]})" for boot in report.boots))
    ]
    for name in names:
        cells = [f"{boot.stages[name]:.1f} s" if name in boot.stages else "" for boot in report.boots]
        rows.append((name, *cells))
    rows.append(("memory in use", *(f"{boot.memory_used >> 20} MiB" for boot in report.boots)))
    rows.append(
        ("checks passed", *(f"{len(boot.checks) - len(boot.failed)} of {len(boot.checks)}" for boot in report.boots))
    )
    return rows
