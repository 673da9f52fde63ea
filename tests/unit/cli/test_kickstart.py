"""photonbuild kickstart."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from photonbuild.cli.main import main
from photonbuild.installer.kickstart.reference import reference


def test_commands(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("disk: /dev/sda\n")
    bad.write_text("disk: /dev/sda\nhostnam: x\n")
    runner = CliRunner()
    done = runner.invoke(main, ["kickstart", "check", str(good), str(bad), str(tmp_path / "god.yaml")])
    assert done.exit_code == 2
    assert f"{good}: ok" in done.output
    for expected in (f"{bad}:2: unknown key 'hostnam', did you mean 'hostname'", "file not found, did you mean 'good"):
        assert expected in done.output.replace("\n", "")
    assert runner.invoke(main, ["kickstart", "check", str(good)]).exit_code == 0
    assert json.loads(runner.invoke(main, ["kickstart", "schema"]).output)["title"] == "kickstart"
    assert runner.invoke(main, ["kickstart", "reference"]).output == reference()
