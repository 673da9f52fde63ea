"""docs/use/tutorial.md, followed word by word in an empty folder with the real store, and timed."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from photonbuild.store import Store

pytestmark = pytest.mark.matrix

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "use" / "tutorial.md"
BLOCK = re.compile(r"^```sh\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_SECONDS = 15 * 60


def test_the_tutorial(store: Store, tmp_path: Path) -> None:
    """One shell for all of it, as a reader has; what each block takes is printed."""
    blocks = [match["text"] for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]
    assert len(blocks) == 5
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "photonbuild").write_text(f'#!/bin/sh\nexec {ROOT}/bin/photonbuild "$@"\n')
    (programs / "photonbuild").chmod(0o755)
    env = {
        **os.environ,
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
    plan, _, rest = done.stdout.partition("greeter-1.0-1.phos1.noarch.rpm")
    states = [line.split()[:2] for line in plan.splitlines() if re.match(r"(cached|will|may|error) ", line)]
    assert [name for state, name in states if state != "cached"] == ["edge-hello"]
    assert len(states) > 20
    assert rest.endswith(
        "own       build/images/edge.yaml\nown       build/profiles/edge.yaml\n"
        "own       specs/edge-hello\nown       specs/greeter\n"
    )
    assert next((project / "stage/images").glob("*-edge.qcow2")).name == "phos-1.0-x86_64-edge.qcow2"
    assert times[-1] - started < MOST_SECONDS
