"""Builds in a shared cache: the record of one alone, which is enough for the keys of others, or with its files.

The parts of an entry: `record`; `packages`, what others are built with and images are made of; `debug`, `source` and
`log`, which are rarely asked for. Trees are not sent: they are made of the packages, by the program that makes them
after a build. What came from a cache lies apart in the store, under the key that has signed it, so that only those who
trust that key ever use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from photonbuild.cache.caches import Caches
from photonbuild.cache.entry import RECORD, Found, Packer, Void
from photonbuild.cache.parts import NAME, pack_files, pack_json, unpack_files
from photonbuild.errors import PhotonbuildError, StoreError
from photonbuild.files import read_json, sha256_of
from photonbuild.keys import Inputs, write_inputs
from photonbuild.packages.built import Built, Shared, built_of, write_built
from photonbuild.packages.collect import collect
from photonbuild.packages.repo import metadata_of
from photonbuild.seeds.frozen import FrozenSeed
from photonbuild.store import Store

PACKAGES, DEBUG, SOURCE, LOG = "packages", "debug", "source", "log"


def shared_folder(store: Store, found: Found, form: str) -> Path:
    """Where the store keeps what came from a cache under this entry."""
    return store.root / "shared" / found.key.id / form / found.manifest.name / found.manifest.key


def package_parts(
    built: Built, inputs: Inputs, record: Mapping[str, Any], leave_out: Iterable[str]
) -> dict[str, Packer]:
    """What is sent of a build whose files are here."""
    files = {path.name: path for path in (built.folder / "rpms").iterdir()}
    trees = {path.name for path in (built.folder / "trees").iterdir()}
    debug = {package.path.name for package in built.packages if package.name not in trees}

    def about(target: Path) -> int:
        for package in built.packages:
            if sha256_of(package.path) != package.sha256:
                raise StoreError(f"package {package.nevra} is damaged: wrong checksum", where=str(package.path))
        metadata = {name: metadata_of(path) for name, path in files.items()}
        value = {"build": record, "inputs": inputs, "metadata": metadata, "debug": sorted(debug)}
        data, size = pack_json(value)
        target.write_bytes(data)
        return size

    sets = {
        PACKAGES: {name: path for name, path in files.items() if name not in debug},
        DEBUG: {name: path for name, path in files.items() if name in debug},
        SOURCE: {path.name: path for path in (built.folder / "srpms").iterdir()},
        LOG: {"build.log": built.folder / "build.log"},
    }
    wanted = {part: chosen for part, chosen in sets.items() if part not in leave_out}
    return {RECORD: about, **{part: _packer(chosen) for part, chosen in wanted.items()}}


def _packer(files: Mapping[str, Path]) -> Packer:
    return lambda target: pack_files(files, target)


def find_shared(caches: Caches, store: Store, name: str, key: str) -> Built | None:
    """The build of this key as a cache tells of it, if one does. No more than the record is fetched."""
    found = caches.find("package", name, key)
    if found is None:
        return None
    try:
        return _built(caches, store, found, caches.json(found, RECORD))
    except Void as void:
        caches.forget(void.entry)
        return None


def _built(caches: Caches, store: Store, found: Found, value: Any) -> Built:
    try:
        files = [package["file"] for package in value["build"]["packages"]]
        names = [package["name"] for package in value["build"]["packages"]]
        if not all(NAME.fullmatch(text) for text in (*files, *names)) or set(value["metadata"]) != set(files):
            raise ValueError
        shared = Shared(
            found=found,
            inputs=dict(value["inputs"]),
            record=dict(value["build"]),
            metadata={file: (str(a), str(b), str(c)) for file, (a, b, c) in value["metadata"].items()},
            debug=tuple(value["debug"]),
            cache=found.cache,
        )
        folder = next(
            filter(Path.is_dir, [shared_folder(store, found, form) for form in ("complete", "package")]), None
        )
        folder = folder or shared_folder(store, found, "package")
        if folder.is_dir():
            store.use(folder)
        return built_of(shared.record, found.manifest.name, found.manifest.key, folder, shared)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise caches.refuse(found, "its record is none of a build") from None


def bring_files(caches: Caches, store: Store, seed: FrozenSeed, builds: Iterable[Built]) -> None:
    """See to it that the packages of these builds and their trees are in the store. Raises Void."""
    for built in builds:
        if built.shared is not None:
            _bring(caches, store, seed, built, built.shared, built.folder, [PACKAGES])


def complete(caches: Caches, store: Store, seed: FrozenSeed, built: Built) -> Built | None:
    """The build with all that a build leaves; None when the cache has not all of it. Raises Void."""
    if built.shared is None:
        return built
    parts = [PACKAGES, *([DEBUG] if built.shared.debug else []), SOURCE, LOG]
    if not set(parts) <= built.shared.found.manifest.parts.keys():
        return None
    folder = shared_folder(store, built.shared.found, "complete")
    _bring(caches, store, seed, built, built.shared, folder, parts)
    return built_of(built.shared.record, built.spec, built.key, folder, built.shared)


def _bring(
    caches: Caches, store: Store, seed: FrozenSeed, built: Built, shared: Shared, final: Path, parts: list[str]
) -> None:
    if final.is_dir() and store.is_intact(final, quiet=True):
        return
    with store.lock(f"shared-{built.spec}-{built.key[:16]}"):
        if store.use(final).is_dir():
            if store.is_intact(final):
                return
            store.discard(final)
        store.need_room()
        with store.staging() as work:
            for name in ("rpms", "srpms", "log", "out"):
                (work / name).mkdir()
            try:
                for part in parts:
                    _unpack(caches, shared.found, part, work)
                _check_files(shared, work / "rpms", parts)
                collect(store, seed, work / "rpms", work / "out")
                _check_headers(shared, work / "out")
            except Void:
                raise
            except PhotonbuildError as error:
                store.check_full(error.detail or error.message)
                raise caches.refuse(shared.found, error.message) from None
            out = work / "out"
            for path in (work / "srpms").iterdir():
                path.rename(out / "srpms" / path.name)
            for path in (work / "log").iterdir():
                path.rename(out / path.name)
            (out / "meta.json").unlink()
            write_inputs(out, shared.inputs)
            write_built(out, shared.record)
            store.publish(out, final)


def _unpack(caches: Caches, found: Found, part: str, work: Path) -> None:
    packed = work / part
    caches.fetch(found, part, packed.with_suffix(".zst"))
    target = {SOURCE: work / "srpms", LOG: work / "log"}.get(part, work / "rpms")
    unpack_files(packed.with_suffix(".zst"), target, size=found.manifest.parts[part].unpacked)
    packed.with_suffix(".zst").unlink()


def _check_files(shared: Shared, folder: Path, parts: list[str]) -> None:
    """The packages are those of the record, byte for byte. Raises StoreError."""
    wanted = {package["file"]: package["sha256"] for package in shared.record["packages"]}
    if DEBUG not in parts:
        wanted = {name: digest for name, digest in wanted.items() if name not in shared.debug}
    found = {path.name: sha256_of(path) for path in folder.iterdir()}
    if found != wanted:
        wrong = sorted(dict(found.items() ^ wanted.items()))
        raise StoreError(f"{wrong[0]} is not what its record says")


def _check_headers(shared: Shared, out: Path) -> None:
    """The headers of the packages say what their record says. Raises StoreError."""
    known = {package["file"]: package for package in shared.record["packages"]}
    for package in read_json(out / "meta.json"):
        if {**package, "sha256": known[package["file"]]["sha256"]} != known[package["file"]]:
            raise StoreError(f"{package['file']} is another package than its record says")
