"""A small distribution of five specs in a checkout of its own, over the real seed, with a store of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.faults import FaultLab, add_image

PROJECT = Path(__file__).parents[2]
STORE = Path(os.environ.get("PHOTONBUILD_STORE") or Path.home() / ".cache" / "photonbuild")


@dataclass(frozen=True)
class Checkout:
    """A checkout to try things on. `store` shares only the frozen seeds with the real one.

    `settings`: the user's, in place of those in the checkout.
    """

    root: Path
    store: Path
    settings: Path | None = None

    def machine(self, store: Path, settings: Mapping[str, object]) -> Checkout:
        """Another machine with this checkout: an empty store, unless it was there before, and settings beside it."""
        if not store.exists():
            store.mkdir(parents=True)
            (store / "seeds").symlink_to((self.store / "seeds").resolve())
        written = store.with_name(f"{store.name}.yaml")
        written.write_text(json.dumps(settings), encoding="utf-8")
        return replace(self, store=store, settings=written)

    def spec(self, name: str) -> Path:
        return self.root / "specs" / name / f"{name}.spec"

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.spec(name).read_text(encoding="utf-8")
        assert old in text
        self.spec(name).write_text(text.replace(old, new), encoding="utf-8")

    def argv(self, *words: str) -> list[str]:
        settings = self.settings or self.root / "user.yaml"
        options = ["--root", str(self.root), "--store", str(self.store), "--config", str(settings)]
        return [sys.executable, "-m", "photonbuild", *words, *options]

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run photonbuild to its end; its exit code must be `code`."""
        return self._run(self.argv(*words), code)

    def run_plain(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """The same for a command that needs no checkout."""
        return self._run([sys.executable, "-m", "photonbuild", *words], code)

    def _run(self, argv: list[str], code: int) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "200"}
        done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False, cwd=self.root)
        assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        return done

    def leftovers(self) -> list[str]:
        """Work in progress in the store, and mounts of it: there must be none after any command."""
        mounts = Path("/proc/mounts").read_text(encoding="utf-8")
        return [p.name for p in (self.store / "tmp").iterdir()] + [
            m for m in mounts.splitlines() if str(self.store) in m
        ]


@pytest.fixture(scope="session")
def seeded_store() -> Path:
    """The real store, with the build seed in it."""
    subprocess.run([sys.executable, "-m", "photonbuild", "seed", "build", "build"], check=True, cwd=PROJECT)
    return STORE


@pytest.fixture
def checkout(tmp_path: Path, seeded_store: Path) -> Checkout:
    return make_checkout(tmp_path, seeded_store)


def make_checkout(folder: Path, seeded_store: Path) -> Checkout:
    """The small distribution and an empty store in a folder; seeds are those of the real one."""
    root = folder / "checkout"
    shutil.copytree(PROJECT / "tests" / "data" / "mini", root)
    for name in (
        "macros",
        "distribution.yaml",
        "seed.yaml",
        "signing.yaml",
        *(path.name for path in (PROJECT / "build").glob("*.lock")),
    ):
        (root / "build" / name).symlink_to(PROJECT / "build" / name)
    (root / "build" / "filesystems.yaml").write_text("filesystems: {}\n", encoding="utf-8")
    (root / "build" / "runtimes.yaml").write_text("runtimes: []\n", encoding="utf-8")
    (root / "user.yaml").write_text("{}\n", encoding="utf-8")
    store = folder / "store"
    store.mkdir()
    (store / "seeds").symlink_to(seeded_store / "seeds")
    return Checkout(root=root, store=store)


@pytest.fixture
def lab(checkout: Checkout) -> FaultLab:
    """The small distribution with an image of two packages, and faults."""
    add_image(checkout.root)
    return FaultLab(root=checkout.root, store=checkout.store)
