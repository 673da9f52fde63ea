"""How the locked packages of a seed become a folder: mmdebstrap(1) installs them, or they are unpacked over another."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from photonbuild.config.models import Seed
from photonbuild.errors import SandboxError, SourceError
from photonbuild.files import sha256_of
from photonbuild.run import Completed, run, tail_of
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds.lock import Deb
from photonbuild.store import ELSEWHERE, Store

LONGEST = 3600.0  # seconds that mmdebstrap may take
# What is started ends when we are killed: as root with everything that it started, in a PID namespace.
TIED = (
    ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if os.geteuid() == 0
    else ("setpriv", "--pdeathsig", "TERM")
)


def bootstrap(
    store: Store, name: str, seed: Seed, debs: Sequence[Deb], files: Sequence[Path], work: Path, *, epoch: int
) -> None:
    """Install these packages with mmdebstrap(1) as the folder `root` of `work`. Raises SandboxError with its log."""
    place = _place(work)
    _local_repository(place / "repo", seed.suite, debs, files)
    tar = place / "seed.tar"
    env = {"SOURCE_DATE_EPOCH": str(epoch), "TMPDIR": str(place)}
    log = store.root / "logs" / f"seed-{name}.log"
    log.unlink(missing_ok=True)
    argv = [*TIED, *mmdebstrap_argv(seed, place / "repo", tar)]
    done = run(argv, env=env, log=log, timeout=LONGEST, check=False, error=SandboxError)
    if done.returncode:
        store.check_full(tail_of(log), place)
        raise SandboxError(f"mmdebstrap failed with exit code {done.returncode}", where=str(log), detail=tail_of(log))
    (work / "root").mkdir()
    host = store.host_sandbox(*{work, place})
    run_inside(store, host, ["tar", "-xf", str(tar), "-C", str(work / "root"), "--numeric-owner", "--exclude=./dev/*"])


def unpack(store: Store, files: Sequence[Path], work: Path) -> None:
    """Unpack the files of these packages into the folder `root` of `work`. Their scripts do not run."""
    (work / "root").mkdir()
    host = store.host_sandbox(work)
    for file in files:
        inside = dataclasses.replace(host, binds=[*host.binds, Bind(file, "/package.deb")])
        run_inside(store, inside, unpack_argv(Path("/package.deb"), work / "root"))


def unpack_argv(deb: Path, root: Path) -> list[str]:
    """dpkg-deb(1) that writes the files of a package into a folder."""
    return ["dpkg-deb", "--extract", str(deb), str(root)]


def mmdebstrap_argv(seed: Seed, repository: Path, tar: Path) -> list[str]:
    """mmdebstrap(1) from a local repository only, as root or with sub-ids."""
    return [
        "mmdebstrap",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=essential",
        "--format=tar",
        "--aptopt=APT::Install-Recommends false",
        "--aptopt=Acquire::Languages none",
        f"--include={','.join(seed.packages)}",
        *(f"--dpkgopt=path-exclude=/{path}" for path in seed.exclude_paths),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        seed.suite,
        str(tar),
        f"deb [trusted=yes] copy:{repository} ./",
    ]


def _place(work: Path) -> Path:
    """A folder that mmdebstrap can work in: in the store, or in /tmp if its ids, not being ours, cannot go there.

    That one goes when `work` goes.
    """
    place = work / "place"
    if os.geteuid() != 0 and not all(parent.stat().st_mode & 0o001 for parent in work.resolve().parents):
        place = Path(tempfile.gettempdir()) / f"photonbuild-{secrets.token_hex(6)}"
        # First, so that the folder is found after a kill, too.
        (work / ELSEWHERE).symlink_to(place)
    place.mkdir(mode=0o700)
    place.chmod(0o755)
    return place


def _local_repository(folder: Path, suite: str, debs: Sequence[Deb], files: Sequence[Path]) -> None:
    """A flat apt repository of exactly these packages; mmdebstrap selects the essential ones by the suite's name."""
    folder.mkdir()

    def entry(pair: tuple[Deb, Path]) -> str:
        deb, file = pair
        target = folder / Path(deb.path).name
        shutil.copyfile(file, target)
        control = run(["dpkg-deb", "-f", target], error=SourceError).stdout.strip()
        return f"{control}\nFilename: ./{target.name}\nSize: {file.stat().st_size}\nSHA256: {file.name}\n"

    with ThreadPoolExecutor(4) as pool:
        entries = list(pool.map(entry, zip(debs, files, strict=True)))
    packages = folder / "Packages"
    packages.write_text("\n".join(entries), encoding="utf-8")
    (folder / "Release").write_text(
        f"Suite: {suite}\nCodename: {suite}\nSHA256:\n {sha256_of(packages)} {packages.stat().st_size} Packages\n",
        encoding="utf-8",
    )


def run_inside(store: Store, sandbox: Sandbox, argv: Sequence[str]) -> Completed:
    """As `Sandbox.run`; a full disk is told from other failures."""
    done = sandbox.run(argv, check=False)
    if done.returncode:
        store.check_full(done.stderr)
        raise SandboxError(f"{argv[0]} failed with exit code {done.returncode}", detail=done.stderr.strip()[-4000:])
    return done
