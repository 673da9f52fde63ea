"""Signatures of downloaded packages, by rpmkeys(8) with a keyring for each repository.

tdnf looks at them when it installs; here it only downloads, and rpm(8) installs what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from photonbuild.installer.errors import FetchError, MachineError
from photonbuild.installer.kickstart.model import Repository
from photonbuild.run import run

FORM = r"%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\n"


def require_signed(
    files: Sequence[Path],
    origins: Mapping[str, str],
    repositories: Sequence[Repository],
    keys: Mapping[str, Sequence[Path]],
    folder: Path,
) -> None:
    """Every file of a repository with `gpgcheck` is signed by one of its `keys`, or FetchError is raised.

    `origins`: the repository of each package, by `FORM` without the end of the line. `folder` is for the keyrings.
    """
    checked = [repository for repository in repositories if repository.gpgcheck]
    if not checked or not files:
        return
    words: list[str | Path] = ["rpm", "--query", "--package", "--nosignature", f"--queryformat={FORM}", *files]
    names = run(words, error=MachineError).stdout.splitlines()
    # A file that calls itself what another repository has would be held to that one's rules.
    if sorted(names) != sorted(origins):
        said = sorted(set(names) ^ origins.keys()) or sorted(name for name in names if names.count(name) > 1)
        raise FetchError(
            "packages are not what the metadata of their repositories say",
            where="repos",
            detail="\n".join(said),
            hint="the repository was changed or damaged: make its metadata anew",
        )
    for repository in checked:
        mine = [file for file, name in zip(files, names, strict=True) if origins[name] == repository.name]
        if mine:
            _require(mine, repository, keys.get(repository.name, ()), folder / f"keyring-{repository.name}")


def _require(files: Sequence[Path], repository: Repository, keys: Sequence[Path], database: Path) -> None:
    where = f"repos.{repository.name}"
    if not keys:
        raise FetchError("with 'gpgcheck' the key has to be named", where=where, hint="name it as 'gpgkey'")
    database.mkdir(parents=True)
    for key in keys:
        done = run(["rpmkeys", "--dbpath", database, "--import", key], check=False, error=MachineError)
        if done.returncode:
            raise FetchError(f"{key.name} is no OpenPGP key", where=where, detail=done.stderr.strip() or None)
    level = ["--define", "_pkgverify_level all"]
    bad = []
    for file in files:
        done = run(["rpmkeys", "--dbpath", database, *level, "--checksig", file], check=False, error=MachineError)
        if done.returncode:
            bad.append(f"{file.name}: not signed by a key that 'gpgkey' names")
    if bad:
        hint = "install none of it before its publisher explains it; 'gpgkey' takes several keys"
        raise FetchError.of(bad, "packages are not signed by a key that 'gpgkey' names", where=where, hint=hint)
