"""Imports go one way: down the floors listed here, the map of docs/internals/architecture.md, and never in a circle."""

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
    "photonbuild.roots",
    "photonbuild.files",
    "photonbuild.contents",
    "photonbuild.uses",
    "photonbuild.pack",
    "photonbuild.code",
    "photonbuild.keys",
    "photonbuild.run",
    "photonbuild.events",
    "photonbuild.version",
    "photonbuild.log",
    "photonbuild.documents",
    "photonbuild.schedule",
    "photonbuild.disk",
    "photonbuild.installer.errors",
    "photonbuild.installer.paths",
    "photonbuild.installer.passwords",
    "photonbuild.installer.kickstart",
    "photonbuild.installer.fetch",
    "photonbuild.installer.machine",
    "photonbuild.installer.plan",
    "photonbuild.installer",
    "photonbuild.config",
    "photonbuild.sandbox",
    "photonbuild.store",
    "photonbuild.remote",
    "photonbuild.gc",
    "photonbuild.projects",
    "photonbuild.sources",
    "photonbuild.storage",
    "photonbuild.cache",
    "photonbuild.seeds",
    "photonbuild.packages",
    "photonbuild.publication",
    "photonbuild.images",
    "photonbuild.machines",
    "photonbuild.report",
    "photonbuild.pipeline",
    "pico.errors",
    "pico.settings",
    "pico.builder",
    "pico.guest",
    "pico.oci",
    "pico.vm",
    "pico.factory",
    "pico.containers",
    "pico.context",
    "pico.bench",
    "pico.cli",
    "pico.__main__",
    "photonbuild.cli",
    "photonbuild.__main__",
)
# What pico imports of the builder where it needs it; all else goes through pico.builder.
SHARED_WITH_PICO = {
    "photonbuild.errors",
    "photonbuild.files",
    "photonbuild.keys",
    "photonbuild.paths",
    "photonbuild.machines.qmp",
    "photonbuild.sandbox.syscalls",
}
BUILDER = {"pico.builder", "pico.settings"}
# Packages whose names are also programs of the seed, files, or words of a configuration language.
COMMAND_NAMES = {
    "bash",
    "cryptsetup",
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
    "tdnf",
    "xz",
    "zstd",
}
MODULES = {name: path for name, path in code.modules(ROOT).items() if name not in code.PACKAGES}
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


def test_pico_needs_the_builder_in_one_place() -> None:
    for name in IMPORTED.keys() - BUILDER:
        if name.startswith("pico."):
            needed = {other for other in code.imported(IMPORTED[name], ROOT) if other.startswith("photonbuild.")}
            assert needed <= SHARED_WITH_PICO, f"{name} imports {needed - SHARED_WITH_PICO}"


def test_only_its_command_line_knows_the_caller_of_pico() -> None:
    for name, path in IMPORTED.items():
        if name.startswith("pico.") and not name.startswith(("pico.cli.", "pico.__main__")):
            names = {
                alias.name
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Import)
                for alias in node.names
            }
            assert not names & {"argparse", "sys", "termios", "tty"}, name


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
