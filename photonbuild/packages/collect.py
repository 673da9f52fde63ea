"""The end of a build for packages that were made elsewhere: their files extracted, and what their headers say.

By the program that does it after a build here, from the packages alone, over the seed of builds or that of images.
"""

from __future__ import annotations

from pathlib import Path

from photonbuild.errors import BuildError
from photonbuild.packages.buildroot import PROGRAM
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds.frozen import FrozenSeed
from photonbuild.store import Store

COLLECT = "import runpy; runpy.run_path('/build.py')['collect']()"


def collect(store: Store, seed: FrozenSeed, rpms: Path, out: Path, *, srpms: Path | None = None) -> None:
    """Into `out` what a build leaves there, from the packages in `rpms` and the source packages in `srpms`.

    Raises BuildError when they cannot be read.
    """
    binds = [
        Bind(PROGRAM, "/build.py"),
        Bind(rpms, "/build/RPMS/all"),
        *([] if srpms is None else [Bind(srpms, "/build/SRPMS")]),
        Bind(out, "/out", readonly=False, links=True),
    ]
    box = Sandbox(layers=[seed.root], scratch=store.scratch, binds=binds)
    box.run(["python3", "-I", "-c", COLLECT], error=BuildError)
