"""The map of the code in docs/internals/architecture.md, made of the floors in test_layers.py and of docstrings.

tools/run python -m tests.support.architecture     # write it anew
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

from photonbuild import code
from tests.unit.test_layers import FLOORS, IMPORTED, MODULES, ROOT

PAGE = ROOT / "docs/internals/architecture.md"
COMMAND = "tools/run python -m tests.support.architecture"
BEGIN, END = "<!-- The map begins: written by a program, see test_documents.py -->", "<!-- The map ends -->"


def summary(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line. Raises AssertionError where there is none."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{path} has no docstring: the map needs its first line"
    return " ".join(docstring.partition("\n\n")[0].split()).replace("|", "\\|").replace("``", "`")


def floor_of(module: str) -> str:
    return next(floor for floor in FLOORS if module == floor or module.startswith(f"{floor}."))


def arrows() -> Mapping[str, list[str]]:
    """The other floors that each floor imports from, the highest first."""
    found: dict[str, set[str]] = {floor: set() for floor in FLOORS}
    for name, path in IMPORTED.items():
        found[floor_of(name)] |= {floor_of(other) for other in code.imported(path, ROOT) & IMPORTED.keys()}
    return {
        floor: [other for other in reversed(FLOORS) if other in used and other != floor]
        for floor, used in found.items()
    }


def short(name: str) -> str:
    return name.removeprefix("photonbuild.")


def the_map() -> str:
    """Markdown: the floors from the roof down, and then the modules of each that is a package."""
    uses = arrows()
    lines = ["| floor | what it is | imports from |", "|---|---|---|"]
    lines += [
        f"| `{short(floor)}` | {summary(MODULES[floor])} | {' '.join(map(short, uses[floor]))} |"
        for floor in reversed(FLOORS)
    ]
    for floor in reversed(FLOORS):
        inside = [name for name in sorted(MODULES) if name.startswith(f"{floor}.")]
        if inside:
            lines += ["", f"### {short(floor)}/", "| module | what it is |", "|---|---|"]
            lines += [f"| `{name.removeprefix(f'{floor}.')}` | {summary(MODULES[name])} |" for name in inside]
    return "\n".join(lines)


def with_map(page: str) -> str:
    """The text of the page with the map as it is now."""
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    assert pattern.search(page), f"{PAGE} has lost the marks around the map"
    return pattern.sub(lambda _: f"{BEGIN}\n{the_map()}\n{END}", page, count=1)


if __name__ == "__main__":
    PAGE.write_text(with_map(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
