"""What the linters of Go and C say, as `make lint` asks them."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.pipeline.session import Session
from tests.support.native import C, Go


def test_go_is_formatted(go: Go) -> None:
    assert go.run("gofmt", "-l", ".") == ""


def test_go_vet(go: Go) -> None:
    go.run("go", "vet", "./...")
    go.run("go", "vet", "-tags", "garden", "./internal/gdn/gardensuite")


def test_staticcheck(go: Go) -> None:
    go.run("/staticcheck/staticcheck", "./...")
    go.run("/staticcheck/staticcheck", "-tags", "garden", "./internal/gdn/gardensuite")


@pytest.mark.parametrize("name", ["boot-assessment", "pico-agent", "pico-net", "pico-zygote", "tdnf"])
def test_warnings_and_analyzer_of_gcc(session: Session, name: str, tmp_path: Path) -> None:
    C(session, name, tmp_path).make("analyze")
