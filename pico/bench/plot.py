"""One plot as SVG: how many of the starts took no longer than so many seconds, a line for each kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 210, 40, 50
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def distribution(title: str, rows: Mapping[str, Sequence[float]]) -> str:
    """The SVG document; `rows` are seconds by name. The scale of time is logarithmic."""
    values = [value for row in rows.values() for value in row if value > 0]
    low, high = _decades(min(values, default=0.1), max(values, default=1.0))

    def across(seconds: float) -> float:
        share = (math.log10(max(seconds, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def up(share: float) -> float:
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}</text>',
    ]
    for seconds in _ticks(low, high):
        x = across(seconds)
        parts.append(f'<path d="M{x:.1f} {up(0):.1f}V{up(1):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{up(0) + 18:.1f}" text-anchor="middle">{seconds:g} s</text>')
    for percent in (0, 25, 50, 75, 100):
        y = up(percent / 100)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    for number, (name, row) in enumerate(rows.items()):
        colour = COLOURS[number % len(COLOURS)]
        order = sorted(row)
        steps = [f"M{across(order[0]):.1f} {up(0):.1f}"] if order else []
        for index, seconds in enumerate(order, 1):
            steps.append(f"H{across(seconds):.1f}V{up(index / len(order)):.1f}")
        parts.append(f'<path d="{"".join(steps)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = TOP + 18 * number + 8
        x = WIDTH - RIGHT + 14
        parts.append(f'<path d="M{x} {y}h20" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 26}" y="{y + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _decades(low: float, high: float) -> tuple[float, float]:
    """Steps of 1, 2, 5 around all values."""
    steps = [base * 10.0**power for power in range(-4, 5) for base in (1, 2, 5)]
    below = max((step for step in steps if step <= low), default=steps[0])
    above = min((step for step in steps if step > high), default=steps[-1])
    return below, above


def _ticks(low: float, high: float) -> list[float]:
    steps = [base * 10.0**power for power in range(-4, 5) for base in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]
