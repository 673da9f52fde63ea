"""Imports go one way: down the floors listed here, which docs/architecture.md shows, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from photonbuild import code

ROOT = Path(__file__).parents[2]
# From the ground up. A room imports from its own floor and from those below it.
FLOORS = (
    "photonbuild.errors",
    "photonbuild.paths",
    "photonbuild.files",
    "photonbuild.pack",
    "photonbuild.code",
    "photonbuild.keys",
    "photonbuild.run",
    "photonbuild.log",
    "photonbuild.documents",
    "photonbuild.schedule",
    "photonbuild.disk",
    "photonbuild.installer",
    "photonbuild.config",
    "photonbuild.sandbox",
    "photonbuild.store",
    "photonbuild.sources",
    "photonbuild.seeds",
    "photonbuild.packages",
    "photonbuild.images",
    "photonbuild.machines",
    "photonbuild.pipeline",
    "pico",
    "photonbuild.cli",
    "photonbuild.__main__",
)
# Packages whose names are also programs of the seed, files, or words of a configuration language.
COMMAND_NAMES = {
    "bash",
    "dracut",
    "file",
    "filesystem",
    "gzip",
    "linux",
    "openssl",
    "python",
    "rpm",
    "shadow",
    "tar",
    "xz",
    "zstd",
}
MODULES = {name: path for name, path in code.modules(ROOT).items() if name != "photonbuild"}
# Not run with the rest: checks are handed to pytest, for a machine.
IMPORTED = {name: path for name, path in MODULES.items() if "checks" not in name.split(".")}


def floor_of(module: str) -> int:
    for number, floor in enumerate(FLOORS):
        if module == floor or module.startswith(f"{floor}."):
            return number
    raise AssertionError(f"{module} needs a place among the floors")


def circle(arrows: Mapping[str, Collection[str]]) -> list[str] | None:
    """One circle of imports as [a, b, …, a], or None."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for other in sorted(arrows[name]):
            found = visit(other, [*path, name])
            if found:
                return found
        done.add(name)
        return None

    return next((found for name in sorted(arrows) if (found := visit(name, []))), None)


@pytest.mark.parametrize("module", sorted(IMPORTED))
def test_imports_go_down(module: str) -> None:
    own = floor_of(module)
    above = {name for name in code.imported(IMPORTED[module], ROOT) & IMPORTED.keys() if floor_of(name) > own}
    assert above == set()


def test_no_circle() -> None:
    arrows = {name: code.imported(path, ROOT) & IMPORTED.keys() for name, path in IMPORTED.items()}
    assert circle(arrows) is None


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_programs_of_the_sandbox_import_nothing_of_ours() -> None:
    inside = [path for name, path in MODULES.items() if "inside" in name.split(".")]
    assert inside and all(not code.imported(path, ROOT) for path in inside)


def test_python_holds_no_package_name() -> None:
    specs = {path.name for path in (ROOT / "specs").iterdir()} - COMMAND_NAMES
    for path in IMPORTED.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in specs, f"{path.name}:{node.lineno} names the package {node.value}"
