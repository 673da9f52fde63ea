"""One HTML page of a build and its images: nothing but this file is needed to read it, and it runs no script."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from photonbuild.log import clock
from photonbuild.machines.report import Boot, Report
from photonbuild.report.record import Record
from photonbuild.report.timeline import busy_cores, critical_path, lanes
from photonbuild.report.treemap import treemap

TEMPLATE = "page.html.j2"
MAP_WIDTH, MAP_HEIGHT = 1000.0, 420.0
LOAD_STEPS = 240
TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Images that hold the same packages: their `manifests`, as in docs/reference/files.md."""

    manifests: Sequence[Mapping[str, Any]]

    @property
    def packages(self) -> Sequence[Mapping[str, Any]]:
        return sorted(self.manifests[0]["packages"], key=lambda package: (-package["size"], package["name"]))

    @property
    def size(self) -> int:
        return sum(package["size"] for package in self.packages)


def render(
    record: Record, *, distribution: str, manifests: Sequence[Mapping[str, Any]], reports: Mapping[str, Report]
) -> str:
    """The page. `reports`: verifications by file name. Pure."""
    built = sorted((work for work in record.packages if not work.cached), key=lambda work: (work.begin, work.name))
    path = critical_path(record.packages)
    begin, end = min((work.begin for work in built), default=0.0), max((work.end for work in built), default=0.0)
    return _environment().get_template(TEMPLATE).render(
        record=record,
        distribution=distribution,
        started=datetime.datetime.fromtimestamp(record.started, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        built=built,
        lanes=lanes(built),
        path=path,
        on_path={work.name for work in path},
        path_seconds=sum(work.seconds for work in path),
        begin=begin,
        span=max(end - begin, 0.001),
        ticks=ticks(end - begin),
        load=_polygon(busy_cores(built, begin=begin, end=end, steps=LOAD_STEPS), record.jobs) if built else "",
        cpu_seconds=sum(work.cpu_seconds for work in built),
        manifests=manifests,
        contents=same_contents(manifests),
        boots=list(_boots(manifests, reports)),
        reports=reports,
        rectangles=rectangles,
    )  # fmt: skip


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": clock, "seconds": seconds, "size": size}
    return environment


def seconds(value: float) -> str:
    """Seconds with a decimal where that says something."""
    return f"{value:.1f} s" if value < 10 else clock(value)


def size(count: float) -> str:
    """Bytes in the unit that fits: 310 kB, 4.2 MB, 1.3 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.{0 if count >= 100 * factor else 1}f} {unit}"
    return f"{count:.0f} B"


def ticks(span: float) -> list[float]:
    """Round times for an axis of so many seconds, from 0 on, eight at the most."""
    step = next((step for step in TICKS if span / step <= 8), max(span / 8, 1.0))
    return [number * step for number in range(int(span / step) + 1)]


def _polygon(load: Sequence[float], jobs: int) -> str:
    """Points of the chart of busy cores in a box of len(load) by 100; its top is the number of cores."""
    top = max(jobs, *load)
    points = [(step + side, 100 - 100 * value / top) for step, value in enumerate(load) for side in (0, 1)]
    return " ".join(f"{x},{y:.1f}" for x, y in [(0, 100.0), *points, (len(load), 100.0)])


def same_contents(manifests: Sequence[Mapping[str, Any]]) -> list[Contents]:
    """The images by what they hold."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for manifest in manifests:
        groups.setdefault(tuple(sorted(package["nevra"] for package in manifest["packages"])), []).append(manifest)
    return [Contents(manifests=group) for group in groups.values()]


def rectangles(contents: Contents) -> list[dict[str, Any]]:
    """The tree map of an image's packages, in percent of its box; `shade`: 0…5 by size."""
    packages = contents.packages
    found = []
    for each in treemap([package["size"] for package in packages], width=MAP_WIDTH, height=MAP_HEIGHT):
        share = each.width * each.height / (MAP_WIDTH * MAP_HEIGHT)
        found.append(
            {
                "package": packages[each.index],
                "x": 100 * each.x / MAP_WIDTH,
                "y": 100 * each.y / MAP_HEIGHT,
                "width": 100 * each.width / MAP_WIDTH,
                "height": 100 * each.height / MAP_HEIGHT,
                "labelled": each.width > 45 and each.height > 16,
                "shade": next((number for number, least in enumerate((0.1, 0.04, 0.015, 0.005)) if share > least), 4),
            }
        )
    return found


def _boots(manifests: Sequence[Mapping[str, Any]], reports: Mapping[str, Report]) -> Iterator[dict[str, Any]]:
    """Each boot of each verified image with its stages in percent of the longest of all."""
    boots = [(name, boot) for name, report in sorted(reports.items()) for boot in report.boots]
    longest = max((_up(boot) for _, boot in boots), default=1.0) or 1.0
    for name, boot in boots:
        stages = [(stage, at, 100 * at / longest) for stage, at in boot.stages.items() if stage != "shut down"]
        yield {
            "image": name,
            "boot": boot,
            "stages": sorted(stages, key=lambda row: row[1]),
            "down": boot.stages.get("shut down"),
        }


def _up(boot: Boot) -> float:
    return max((at for stage, at in boot.stages.items() if stage != "shut down"), default=0.0)
