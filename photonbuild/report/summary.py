"""What came of a pipeline as Markdown, in the dialect of GitHub: for the page of a run, a merge request, a mail."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from photonbuild.machines.report import Boot, Report, stage_table
from photonbuild.report.page import seconds, size
from photonbuild.report.record import Record
from photonbuild.report.timeline import critical_path

MOST_BUILT = 40
MOST_LINES = 60
# What Markdown, or the HTML that it may hold, gives a meaning.
SPECIAL = re.compile(r"[\\`*_{}\[\]<>|~#&]")


def summary(record: Record, *, distribution: str, reports: Mapping[str, Report]) -> str:
    """The document. `reports`: verifications of this run by file name. Pure."""
    result = "succeeded" if record.code == 0 else f"failed with exit code {record.code}"
    lines = [f"## {escape(distribution)}: photonbuild {escape(record.command)} {result}", ""]
    lines += [f"{seconds(record.seconds)} on {record.jobs} cores, photonbuild {escape(record.version)}.", ""]
    for part in (_stages(record), _errors(record), _built(record), _images(record, reports), _boots(reports)):
        lines += part
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Text as it is, on one line."""
    return SPECIAL.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def fenced(text: str) -> list[str]:
    """Lines of a program as a block of code, whatever they hold; of many, the last ones."""
    lines = text.rstrip().splitlines()
    kept = lines[-MOST_LINES:]
    more = [f"… {len(lines) - len(kept)} lines before"] if len(lines) > len(kept) else []
    ticks = max((len(run) for line in kept for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)
    return [fence, *more, *kept, fence, ""]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; cells are escaped."""
    cells = [" | ".join(escape(cell) for cell in row) for row in (head, *rows)]
    return [f"| {cells[0]} |", "|" + " --- |" * len(head), *(f"| {row} |" for row in cells[1:]), ""]


def _stages(record: Record) -> list[str]:
    rows = [(stage.name, stage.outcome, seconds(stage.seconds), stage.text) for stage in record.stages]
    return table(("stage", "outcome", "time", ""), rows) if rows else []


def _errors(record: Record) -> Iterator[str]:
    for error in record.errors:
        yield f"**error:** {escape(f'{error.where}: {error.message}' if error.where else error.message)}"
        yield ""
        yield from fenced(error.detail) if error.detail else ()
        yield from fenced(f"hint: {error.hint}") if error.hint else ()


def _built(record: Record) -> list[str]:
    built = sorted((work for work in record.packages if not work.cached), key=lambda work: -work.seconds)
    if not built:
        return []
    rows = [
        (work.name, seconds(work.seconds), "failed" if not work.ok else "; ".join(work.why[:2])[:300])
        for work in built[:MOST_BUILT]
    ]
    more = [f"and {len(built) - MOST_BUILT} more", ""] if len(built) > MOST_BUILT else []
    path = critical_path(record.packages)
    chain = " → ".join(f"{work.name} {seconds(work.seconds)}" for work in path)
    shared = sum(work.cache is not None for work in record.cached)
    kept = f"{len(record.cached) - shared} from the store" + (f", {shared} from a cache" if shared else "")
    lines = [f"### {len(built)} packages built, {kept}", ""]
    return [*lines, *table(("package", "time", "because"), rows), *more, f"Critical path: {escape(chain)}", ""]


def _images(record: Record, reports: Mapping[str, Report]) -> list[str]:
    rows = [
        (image.file, size(image.size), str(image.packages), _verdict(reports.get(image.file)), image.sha256)
        for image in record.images
    ]
    return ["### Images", "", *table(("file", "size", "packages", "checks", "sha256"), rows)] if rows else []


def _verdict(report: Report | None) -> str:
    def passed(boot: Boot) -> str:
        return f"{boot.firmware} {len(boot.checks) - len(boot.failed)} of {len(boot.checks)}"

    return "not verified" if report is None else ", ".join(passed(boot) for boot in report.boots)


def _boots(reports: Mapping[str, Report]) -> Iterator[str]:
    for name, report in sorted(reports.items()):
        head, *rows = stage_table(report)
        yield from [f"### {escape(name)}", "", *table(head, rows)]
        for firmware, check in report.failed:
            yield f"**{escape(check.outcome)}:** {escape(f'{firmware}: {check.name}')}"
            yield ""
            yield from fenced(check.message)
