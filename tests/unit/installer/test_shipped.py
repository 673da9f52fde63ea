"""What goes onto the medium."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

from photonbuild import code
from photonbuild.images import live
from photonbuild.images.installer import PROGRAM
from photonbuild.installer import __main__
from photonbuild.installer.fetch.source import Source


def test_what_is_shipped_runs_with_the_standard_library_and_pyyaml(tmp_path: Path) -> None:
    for path in code.files([PROGRAM]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                first = name.split(".")[0]
                assert first in {*sys.stdlib_module_names, "yaml", "photonbuild"}, f"{path.name} imports {name}"
        target = tmp_path / path.relative_to(code.PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "photonbuild.installer", "--help"],
        env={"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}, cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--dry-run" in done.stdout


def test_what_only_the_host_needs_stays_there() -> None:
    names = {path.relative_to(code.PROJECT).as_posix() for path in code.files([PROGRAM])}
    assert {"photonbuild/__init__.py", "photonbuild/installer/__init__.py", "photonbuild/disk/grub.py"} <= names
    assert not {name for name in names if name.endswith(("/jsonschema.py", "/reference.py")) or "/config/" in name}


def test_the_live_root_has_no_file_of_its_own_but_its_fstab() -> None:
    """Which the installer repaths: an installed system would keep any other."""
    assert {file.path for file in live.ROOT_FILES} == {"/etc/fstab"}


def test_the_unit_starts_what_is_there() -> None:
    unit = (code.PROJECT / "build/installer/installer.service").read_text()
    assert "-m photonbuild.installer --boot" in unit
    assert "ConditionKernelCommandLine=installer" in unit
    assert isinstance(__main__.parser().parse_args(["--boot"]).boot, bool)
    assert Source(scheme="https", text="https://h").remote
