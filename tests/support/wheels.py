"""Python programs of PyPI that only tests need, beside the project's own packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from photonbuild.files import sha256_of
from photonbuild.store import Store


def wheels(store: Store, lock: Path) -> Path:
    """The folder with the packages of a lock, for PYTHONPATH; fetched once. The lock's folder names them."""
    name = lock.parent.name
    final = store.root / "venv" / f"{name}-{sha256_of(lock)[:16]}"
    with store.lock(name), store.staging() as work:
        if not final.exists():
            options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:"]
            argv = [sys.executable, "-m", "pip", "install", *options, "--target", f"{work}/out", "-r", str(lock)]
            subprocess.run(argv, check=True)
            store.publish(work / "out", final)
    return final
