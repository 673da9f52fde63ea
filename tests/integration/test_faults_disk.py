"""A full disk, wherever it is: one error that says so with its exit code, nothing half-written, and then it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import PROJECT
from tests.support.faults import IMAGE, FaultLab, Run

# The files of a build's store take about 300 KiB: these sizes end it in one phase after the other.
SIZES = ("24k", "40k", "80k", "120k", "160k", "200k", "240k")


def on_small_disk(lab: FaultLab, place: Path, size: str, *words: str, full: bool = False) -> list[dict[str, Any]]:
    """What a command did on a disk of this size, and then on a large one."""
    asked = {"root": lab.root, "store": lab.store, "place": place, "size": size, "words": words, "full": full}
    argv = ["unshare", "--mount", sys.executable, "-m", "tests.support.small_disk", json.dumps(asked, default=str)]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


def is_said_and_mended(answers: list[dict[str, Any]], wanted: dict[str, str]) -> None:
    first, second = answers
    errors = Run(stdout="", stderr=first["stderr"]).errors()
    assert [(first["code"], len(errors))] == [(10, 1)], first["stderr"]
    assert errors[0]["code"] == 10 and errors[0]["message"] == "no space left" and errors[0]["hint"]
    assert "Traceback" not in first["stderr"]
    assert [name for name in first["left"] if "ballast" not in name] == []
    assert first["broken"] == []
    assert second["code"] == 0, second["stderr"]
    assert second["results"] == wanted
    assert second["left"] == []


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, str]]:
    return {}


def undisturbed(lab: FaultLab, known: dict[str, dict[str, str]], *words: str) -> dict[str, str]:
    """The results of the same command with room, in a store of its own."""
    if words[0] not in known:
        other = FaultLab(root=lab.root, store=lab.store.with_name("roomy"))
        other.store.mkdir()
        (other.store / "seeds").symlink_to((lab.store / "seeds").readlink())
        known[words[0]] = other.results(*words)
        subprocess.run(["rm", "-rf", other.store, lab.root / "stage"], check=True)
    return known[words[0]]


@pytest.mark.parametrize("size", SIZES)
def test_the_store_is_full(lab: FaultLab, known: dict[str, dict[str, str]], size: str) -> None:
    wanted = undisturbed(lab, known, "build")
    is_said_and_mended(on_small_disk(lab, lab.store, size, "build"), wanted)


@pytest.mark.parametrize("size", ["120k", "180k", "240k"])
def test_the_store_is_full_of_an_image(lab: FaultLab, known: dict[str, dict[str, str]], size: str) -> None:
    wanted = undisturbed(lab, known, "image", IMAGE)
    is_said_and_mended(on_small_disk(lab, lab.store, size, "image", IMAGE), wanted)


@pytest.mark.parametrize("place", ["logs", "macros"])
def test_one_folder_is_full(lab: FaultLab, known: dict[str, dict[str, str]], place: str) -> None:
    """Where the user has put it on a disk of its own."""
    wanted = undisturbed(lab, known, "build")
    is_said_and_mended(on_small_disk(lab, lab.store / place, "4m", "build", full=True), wanted)


@pytest.mark.parametrize("size", ["4k", "16k"])
def test_the_stage_is_full(lab: FaultLab, known: dict[str, dict[str, str]], size: str) -> None:
    """While the repository is made, and while the image is copied."""
    wanted = undisturbed(lab, known, "image", IMAGE)
    is_said_and_mended(on_small_disk(lab, lab.root / "stage", size, "image", IMAGE), wanted)


def test_slash_tmp_is_not_needed(lab: FaultLab, known: dict[str, dict[str, str]]) -> None:
    """Nothing of a build or an image is written there."""
    wanted = undisturbed(lab, known, "image", IMAGE)
    first, _ = on_small_disk(lab, Path("/tmp"), "64k", "image", IMAGE, full=True)
    assert first["code"] == 0 and first["results"] == wanted
