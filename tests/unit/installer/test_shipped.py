"""What goes onto the medium."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import photonbuild
from photonbuild.images.formats import iso
from photonbuild.installer import SHIPPED, __main__
from photonbuild.installer.fetch.source import Source

PACKAGE = Path(photonbuild.__file__).parent


def test_what_is_shipped_runs_with_the_standard_library_and_pyyaml(tmp_path: Path) -> None:
    for name in SHIPPED:
        (tmp_path / "photonbuild").mkdir(exist_ok=True)
        (tmp_path / "photonbuild" / name).symlink_to(PACKAGE / name)
    shipped = [path for name in SHIPPED for path in (PACKAGE / name, *(PACKAGE / name).rglob("*.py")) if path.is_file()]
    there = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in shipped}
    there |= {name.removesuffix(".__init__") for name in there}
    for path in shipped:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                known = name in there or name.split(".")[0] in {*sys.stdlib_module_names, "yaml"}
                assert known, f"{path.name} imports {name}"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "photonbuild.installer", "--help"],
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--dry-run" in done.stdout


def test_the_live_root_has_no_file_of_its_own_but_its_fstab() -> None:
    """Which the installer repaths: an installed system would keep any other."""
    assert {file.path for file in iso.ROOT_FILES} == {"/etc/fstab"}


def test_the_unit_starts_what_is_there() -> None:
    unit = (PACKAGE.parent / "build/installer/installer.service").read_text()
    assert "-m photonbuild.installer --boot" in unit
    assert "ConditionKernelCommandLine=installer" in unit
    assert isinstance(__main__.parser().parse_args(["--boot"]).boot, bool)
    assert Source(scheme="https", text="https://h").remote
