"""Manual pages and completion, as the programs read them that they are for: these are to be on the machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from photonbuild.cli.main import main
from photonbuild.cli.manual import pages

pytestmark = pytest.mark.matrix


@pytest.mark.parametrize(
    "lint", [("mandoc", "-T", "lint", "-W", "warning"), ("groff", "-ww", "-man", "-Tutf8")], ids=lambda lint: lint[0]
)
def test_programs_that_read_manual_pages_find_nothing(lint: tuple[str, ...], tmp_path: Path) -> None:
    assert shutil.which(lint[0]), f"install {lint[0]}: this test needs it"
    for name, text in pages(main, "photonbuild").items():
        (tmp_path / name).write_text(text, encoding="ascii")
    done = subprocess.run([*lint, *sorted(tmp_path.iterdir())], capture_output=True, text=True, check=False)
    said = done.stderr if lint[0] == "groff" else done.stdout
    # Pages that are the same from the same source have no date.
    assert [line for line in said.splitlines() if "missing date" not in line] == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_completion(shell: str, tmp_path: Path) -> None:
    text = CliRunner().invoke(main, ["completion", shell]).stdout
    assert "_PHOTONBUILD_COMPLETE" in text
    assert shutil.which(shell), f"install {shell}: this test needs it"
    (tmp_path / "script").write_text(text, encoding="utf-8")
    done = subprocess.run([shell, "-n", tmp_path / "script"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
