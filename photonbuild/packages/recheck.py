"""What a worker has built is built here as well, and both must be the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from photonbuild.errors import RemoteError
from photonbuild.files import sha256_of
from photonbuild.packages.buildroot import Builder
from photonbuild.packages.here import run_here
from photonbuild.packages.package import Package
from photonbuild.packages.spec import Spec


def recheck(builder: Builder, spec: Spec, installed: Mapping[str, Package], work: Path, *, worker: str) -> None:
    """Build here what `work`/out has from a worker. Raises RemoteError that names package and worker."""
    again = work / "again"
    again.mkdir()
    log = builder.store.root / "logs" / f"{spec.name}.recheck.log"
    log.write_text("", encoding="utf-8")
    done = run_here(builder, spec, installed, again, log)
    theirs, ours = (digests(folder / "out") for folder in (work, again))
    if done.returncode or theirs != ours:
        differ = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        raise RemoteError(
            f"{spec.name}: worker {worker} gave other packages than a build here"
            if not done.returncode
            else f"{spec.name}: worker {worker} gave packages, and a build here fails",
            where=spec.where,
            detail="\n".join(differ),
            hint=f"nothing of it is used; trust that worker no more, or the build is not reproducible; log here: {log}",
        )
    builder.store.remove(again)


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of each binary package by its file name."""
    return {path.name: sha256_of(path) for path in sorted((out / "rpms").glob("*.rpm"))}
