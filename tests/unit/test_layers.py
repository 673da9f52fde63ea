"""Imports inside the package go one way, in the order of docs/architecture.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

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
PACKAGE = Path(__file__).parents[2] / "photonbuild"
ORDER = [
    "__init__",
    "errors",
    "places",
    "files",
    "run",
    "log",
    "documents",
    "gpt",
    "bootloader",
    "installer",
    "config_yaml",
    "config_disk",
    "config_models",
    "config",
    "sandbox",
    "store",
    "mirrors",
    "local",
    "sources",
    "seed",
    "specs",
    "graph",
    "keys",
    "schedule",
    "rpmbuild",
    "rpmconfig",
    "repo",
    "solve",
    "rootfs",
    "initramfs",
    "images",
    "signing",
    "upload",
    "media",
    "qemu",
    "outside",
    "clouds",
    "guest",
    "console",
    "verify",
    "doctor",
    "session",
    "plan",
    "pipeline",
    "stage",
    "installsets",
    "recipe",
    "image",
    "pico",
    "cli_image",
    "cli_kickstart",
    "cli_machine",
    "cli_pico",
    "cli",
    "__main__",
]


def imported(path: Path) -> set[str]:
    """Modules of the package that a module imports, by their first name."""
    found = set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level == depth:
                found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
            elif node.level == 0 and node.module and node.module.startswith("photonbuild."):
                found.add(node.module.split(".")[1])
    return {name for name in found if (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir()}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if first in ("inside", "checks"):
        return
    assert first in ORDER, "a new module needs a place in the order"
    later = {name for name in imported(path) - {"inside", "checks", first} if ORDER.index(name) >= ORDER.index(first)}
    assert later == set()


def test_python_holds_no_package_name() -> None:
    specs = {path.name for path in (PACKAGE.parent / "specs").iterdir()} - COMMAND_NAMES
    for path in sorted(PACKAGE.rglob("*.py")):
        if "checks" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in specs, f"{path.name}:{node.lineno} names the package {node.value}"
