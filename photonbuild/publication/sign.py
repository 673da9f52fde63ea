"""Signed copies of the store's packages, in the store under the key's fingerprint; the packages there stay unsigned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from photonbuild.files import copy_file, sha256_of
from photonbuild.publication.openpgp import Key, OpenPGP
from photonbuild.store import Store


def signing_time(key: Key, epoch: int) -> int:
    """The time in the signatures of packages: the distribution's, but not before there was a key."""
    return max(key.created, epoch)


def signed_copies(
    store: Store, tools: OpenPGP, key: Key, rpms: Sequence[Path], *, time: int
) -> Mapping[Path, tuple[str, Path]]:
    """For each package its digest and a signed copy in the store, whose name is the package's. Raises SolveError."""
    digests = {path: sha256_of(path) for path in rpms}
    folders = {path: store.use(_folder(store, key, digest, time)) for path, digest in digests.items()}
    missing = [path for path in rpms if not _is_whole(store, folders[path])]
    if missing:
        store.need_room()
        with store.staging() as work:
            (work / "in").mkdir()
            names = {path: f"{number}-{path.name}" for number, path in enumerate(missing)}
            for path, name in names.items():
                copy_file(path, work / "in" / name)
            tools.sign(key, work / "in", packages=list(names.values()), time=time)
            for path, name in names.items():
                out = work / f"out-{name}"
                out.mkdir()
                (work / "in" / name).rename(out / path.name)
                (out / path.name).chmod(0o644)
                store.publish(out, folders[path])
    return {path: (digests[path], folders[path] / path.name) for path in rpms}


def _folder(store: Store, key: Key, digest: str, time: int) -> Path:
    return store.root / "signed" / key.fingerprint / f"{digest}-{time}"


def _is_whole(store: Store, folder: Path) -> bool:
    if not folder.exists():
        return False
    if store.is_intact(folder):
        return True
    store.discard(folder)
    return False
