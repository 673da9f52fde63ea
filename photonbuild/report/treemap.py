"""Sizes as a tree map: rectangles in a rectangle, each as large as its value, as square as can be. Pure.

The squarified layout of Bruls, Huizing and van Wijk (2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Rectangle:
    """Place and size; `index`: of the value that it stands for."""

    index: int
    x: float
    y: float
    width: float
    height: float


def treemap(values: Sequence[float], *, width: float, height: float) -> list[Rectangle]:
    """A rectangle for each value above zero, the largest first, which together fill `width` by `height`."""
    order = sorted((i for i, value in enumerate(values) if value > 0), key=lambda i: (-values[i], i))
    total = sum(values[i] for i in order)
    scale = width * height / total if total else 0.0
    areas = [(i, values[i] * scale) for i in order]
    x, y, found = 0.0, 0.0, []
    while areas and min(width, height) > 0:
        side = min(width, height)
        count = 1
        while count < len(areas) and _worst(areas[: count + 1], side) <= _worst(areas[:count], side):
            count += 1
        row, areas = areas[:count], areas[count:]
        thickness = sum(area for _, area in row) / side
        along = 0.0
        for index, area in row:
            length = area / thickness
            if width >= height:
                found.append(Rectangle(index=index, x=x, y=y + along, width=thickness, height=length))
            else:
                found.append(Rectangle(index=index, x=x + along, y=y, width=length, height=thickness))
            along += length
        if width >= height:
            x, width = x + thickness, width - thickness
        else:
            y, height = y + thickness, height - thickness
    return found


def _worst(row: Sequence[tuple[int, float]], side: float) -> float:
    """The ratio of the sides of the least square rectangle of a row along `side`."""
    total = sum(area for _, area in row)
    areas = [area for _, area in row]
    return max(side**2 * max(areas) / total**2, total**2 / (side**2 * min(areas)))
