"""docs/use/tutorial.md, followed word by word in an empty folder with the real store, and timed.

Once with this checkout's program, once with what pipx installs from a wheel: that has nothing of the checkout.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from photonbuild.store import Store

pytestmark = pytest.mark.matrix

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "use" / "tutorial.md"
BLOCK = re.compile(r"^```sh\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_SECONDS = 15 * 60
PIPX = "pipx==1.7.1"


def from_checkout(folder: Path) -> Path:
    """A folder for PATH with the checkout's program."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "photonbuild").write_text(f'#!/bin/sh\nexec {ROOT}/bin/photonbuild "$@"\n')
    (programs / "photonbuild").chmod(0o755)
    return programs


def from_wheel(folder: Path) -> Path:
    """The same with what pipx installs; the wheel is made of the checkout as it is."""
    python = folder / "venv/bin/python"
    env = {**OWN, "PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin"), "HOME": str(folder)}
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", folder / "venv"],
        [python, "-m", "pip", "install", "--quiet", PIPX],
        [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "wheels", ROOT],
    ]
    for argv in steps:
        subprocess.run(argv, env=env, check=True)
    (wheel,) = (folder / "wheels").glob("*.whl")
    subprocess.run([python, "-m", "pipx", "install", "--quiet", wheel], env=env, check=True)
    shutil.rmtree(folder / "wheels")
    said = subprocess.run(
        [folder / "bin/photonbuild", "--version"], env=env, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"photonbuild \S+ \(commit [0-9a-f]{40}(-dirty)?\)\n", said.stdout)
    return folder / "bin"


# Without what the tests themselves run in.
OWN = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


@pytest.mark.parametrize("install", [from_checkout, from_wheel])
def test_the_tutorial(install: Callable[[Path], Path], store: Store, tmp_path: Path) -> None:
    """One shell for all of it, as a reader has; what each block takes is printed."""
    blocks = [match["text"] for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]
    assert len(blocks) == 5
    programs = install(tmp_path)
    env = {
        **OWN,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PHOTONBUILD_STORE": str(store.root),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    (tmp_path / "work").mkdir()
    marked = "".join(f'{text}echo "@{number} $(date +%s)" >&2\n' for number, text in enumerate(blocks))
    started = time.time()
    done = subprocess.run(
        ["bash", "-eux", "-c", marked], cwd=tmp_path / "work", env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    times = [started, *(float(stamp) for stamp in re.findall(r"^@\d+ (\d+)$", done.stderr, re.MULTILINE))]
    seconds = [round(after - before) for before, after in itertools.pairwise(times)]
    print(f"seconds of each block: {seconds}, in all {round(times[-1] - started)}")
    project = tmp_path / "work" / "edge"
    own = [path for path in project.rglob("*") if path.is_file() and not path.is_relative_to(project / "stage")]
    named = [path for path in own if str(ROOT) in path.read_text(encoding="utf-8", errors="replace")]
    assert bool(named) == (install is from_checkout), named
    plan, _, rest = done.stdout.partition("greeter-1.0-1.phos1.noarch.rpm")
    states = [line.split()[:2] for line in plan.splitlines() if re.match(r"(cached|will|may|error) ", line)]
    assert "edge-hello" in {name for _, name in states}
    # A run before this one may have left it in the store.
    assert {name for state, name in states if state != "cached"} <= {"edge-hello"}
    assert len(states) > 20
    assert rest.endswith(
        "own       build/images/edge.yaml\nown       build/profiles/edge.yaml\n"
        "own       specs/edge-hello\nown       specs/greeter\n"
    )
    assert next((project / "stage/images").glob("*-edge.qcow2")).name == "phos-1.0-x86_64-edge.qcow2"
    assert times[-1] - started < MOST_SECONDS
