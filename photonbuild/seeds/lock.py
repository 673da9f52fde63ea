"""The lock of a seed: every Debian package of it by path and digest, resolved by apt from a private configuration."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from photonbuild.config.load import Config
from photonbuild.config.models import Seed
from photonbuild.errors import SourceError
from photonbuild.files import read_json
from photonbuild.run import run
from photonbuild.sources.apt import apt_configuration, sources_list
from photonbuild.sources.mirrors import debian_mirrors, security_mirrors


@dataclass(frozen=True, kw_only=True)
class Deb:
    """One locked Debian binary package: its path in the archive, size in bytes and sha256."""

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return Path(self.path).name.partition("_")[0]

    @property
    def version(self) -> str:
        return unquote(Path(self.path).name.split("_")[1])


def lock_path(config: Config, name: str) -> Path:
    return config.seed_lock(name)


def read_lock(config: Config, name: str) -> dict[str, Any]:
    """The lock of a seed. Raises SourceError when there is none."""
    path = lock_path(config, name)
    if not path.exists():
        raise SourceError("there is no lock for this seed", where=str(path), hint="photonbuild seed lock")
    lock = read_json(path)
    assert isinstance(lock, dict)
    return lock


def locked_versions(config: Config, name: str) -> dict[str, str]:
    """The Debian version of each package that the seed's own list names, as locked."""
    wanted = config.seed(name).packages
    debs = [Deb(**entry) for entry in read_lock(config, name)["packages"]]
    return {deb.name: deb.version for deb in debs if deb.name in wanted}


def resolve(config: Config, seed: Seed, names: Sequence[str] = (), *, security: bool = True) -> tuple[Deb, ...]:
    """What apt would install today for the seed's packages (or only find `names`), sorted by path.

    Without `security` the suite alone is asked, and not the archive of its security updates.
    """
    wanted = list(names) or ["?essential", *seed.packages]
    argv = [*(["download"] if names else ["install", "-y"]), "-qq", "--print-uris", *wanted]
    return _listed(config, seed, argv, security=security)


def resolve_over(config: Config, seed: Seed, status: Path, *, security: bool = True) -> tuple[Deb, ...]:
    """What apt would add today to a root, whose dpkg status is `status`, for the seed's packages, sorted by path.

    Raises SourceError when a package of that root would have to be another one.
    """
    argv = ["install", "-y", "-qq", "--no-upgrade", "--no-remove", "--print-uris", *seed.packages]
    debs = _listed(config, seed, argv, status, security=security)
    installed = set(re.findall(r"^Package: (\S+)$", status.read_text(encoding="utf-8"), re.MULTILINE))
    if newer := sorted(deb.name for deb in debs if deb.name in installed):
        raise SourceError(
            f"the seed below has other versions of {', '.join(newer)} than are needed",
            where=config.roots.where(config.roots.find(f"build/{seed.lock}")),
            hint="photonbuild seed lock, without a name, locks them all anew",
        )
    return debs


def _listed(
    config: Config, seed: Seed, argv: Sequence[str], status: Path | None = None, *, security: bool
) -> tuple[Deb, ...]:
    """The packages that apt-get prints for this command, over an empty root or one of this dpkg status."""
    mirrors = config.user.mirrors
    lines = sources_list("deb", mirrors, seed.suite)
    with tempfile.TemporaryDirectory(prefix="photonbuild-") as temporary:
        env = {"APT_CONFIG": str(apt_configuration(Path(temporary), lines if security else lines[:1]))}
        if status is not None:
            shutil.copyfile(status, Path(temporary, "status"))
        run(["apt-get", "update", "-qq"], env=env, error=SourceError)
        listed = run(["apt-get", *argv], env=env, error=SourceError).stdout
    bases = [debian_mirrors(mirrors)[0], *security_mirrors(mirrors)[:1]]
    debs = []
    for uri, size, digest in re.findall(r"^'([^']+)' \S+ (\d+) SHA256:([0-9a-f]{64})", listed, re.MULTILINE):
        # The longer one first: one archive may be in a folder of another.
        base = next(base for base in sorted(bases, key=len, reverse=True) if unquote(uri).startswith(base + "/"))
        debs.append(Deb(path=unquote(uri).removeprefix(base + "/"), size=int(size), sha256=digest))
    if not debs:
        raise SourceError(f"apt resolved nothing for the suite {seed.suite}", detail=listed[-2000:])
    return tuple(sorted(debs, key=lambda deb: deb.path))
