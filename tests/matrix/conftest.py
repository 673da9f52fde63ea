"""Tests of whole images: every format, every layout, both kinds of firmware. Minutes each."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from photonbuild.config.load import Config
from photonbuild.log import Reporter
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.image import make_image
from photonbuild.pipeline.session import Session
from photonbuild.store import Store

ROOT = Path(__file__).resolve().parents[2]
# What a checkout consists of, as far as images are concerned.
PARTS = ("build", "kickstarts", "photonbuild", "pico", "specs", "src")
Variant = Callable[..., Path]


def pytest_xdist_auto_num_workers() -> int:
    """Tests at once for `-n auto`: each runs a machine of one processor and 2 GiB."""
    cores, memory = len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(2, min(cores, memory >> 32))


def pytest_configure(config: pytest.Config) -> None:
    """Emulated processors wait for each other's locks: sharing the real ones they do best with one each."""
    if hasattr(config, "workerinput"):
        os.environ.setdefault("PHOTONBUILD_MACHINE_CPUS", "1")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each machine that was judged: what ran in a worker is not seen otherwise."""
    reports = terminalreporter.getreports("passed")
    lines = [str(value) for report in reports for name, value in report.user_properties if name == "boot"]
    if lines:
        terminalreporter.section("machines")
        for line in sorted(lines):
            terminalreporter.line(line)


def session_of(read: Config, place: Store) -> Session:
    return Session(config=read, store=place, reporter=Reporter())


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project in another folder, to change and to compare with."""
    folder = tmp_path_factory.mktemp("elsewhere") / "a checkout"
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    shutil.copy(ROOT / "LICENSE", folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def variant(checkout: Path, store: Store) -> Variant:
    """Make an image of the name `base` with other settings: ``variant("raw", disk={"filesystem": "xfs"})``."""

    def make(base: str, *, disk: Mapping[str, object] | None = None, **changes: object) -> Path:
        settings = yaml.safe_load((checkout / "build" / "images" / f"{base}.yaml").read_text(encoding="utf-8"))
        settings["disk"] |= disk or {}
        settings |= changes
        words = "".join([*map(str, (disk or {}).values()), *changes]).lower()
        short = "".join(filter(str.isalnum, words))
        # A file's name has an end.
        settings["variant"] = f"-{short if len(short) <= 120 else hashlib.sha256(short.encode()).hexdigest()[:16]}"
        name = base + settings["variant"]
        (checkout / "build" / "images" / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        return make_image(session_of(load_config(checkout), store), name, [])[0].path

    return make
