"""Figures of the bench as text, JSON and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from photonbuild.files import write_json
from pico.bench.plot import distribution


def table(result: dict[str, Any]) -> str:
    """A row for each series: medians in seconds, and machines or containers a minute."""
    lines = [f"{'':<12}{'in flight':>9}{'answered':>11}{'started':>11}{'ended':>9}{'p90':>9}{'per minute':>13}"]
    for each in result["series"]:
        cells = "".join(
            f"{each[what]['median']:>{width}.3f}" for what, width in (("answered", 11), ("started", 11), ("ended", 9))
        )
        lines.append(
            f"{each['name']:<12}{each['in_flight']:>9}{cells}{each['ended']['p90']:>9.3f}{each['per_minute']:>13.0f}"
        )
    if "alive" in result:
        found = result["alive"]
        lines.append(
            f"{found['alive']} alive at once after {found['seconds']} s: {found['memory_each_mib']} MiB each; median "
            f"{found['anonymous_mib']['median']:.1f} MiB anonymous, {found['own_mib']['median']:.1f} MiB of it its own"
        )
    return "".join(f"{line}\n" for line in lines)


def save(result: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write pico.json and pico.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "pico.json", result)
    rows = {f"{each['name']}, {each['in_flight']} in flight": each["seconds"]["started"] for each in result["series"]}
    picture = folder / "pico.svg"
    picture.write_text(distribution("Seconds until the container runs", rows), encoding="utf-8")
    return folder / "pico.json", picture
