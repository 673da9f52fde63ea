"""The seeds: Debian roots, locked by package digest, unpacked to read-only folders named by their tree digest.

mmdebstrap(1) installs the locked packages from a local repository, or those of a layer are unpacked to lie over the
build seed; the result is frozen, after a check that it holds no third-party development files.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photonbuild import code
from photonbuild.cache.caches import Caches
from photonbuild.cache.entry import Found, Void
from photonbuild.config.load import Config
from photonbuild.config.models import Seed
from photonbuild.contents import is_checked
from photonbuild.errors import SandboxError, SourceError, StoreError
from photonbuild.files import read_sealed, sealed, write_json
from photonbuild.keys import key_of, write_inputs
from photonbuild.sandbox.sandbox import Bind
from photonbuild.seeds import cached
from photonbuild.seeds.fetch import Warn, fetch_debs, fetch_go
from photonbuild.seeds.frozen import FrozenSeed, resolves
from photonbuild.seeds.install import bootstrap, mmdebstrap_argv, run_inside, unpack, unpack_argv
from photonbuild.seeds.lock import Deb, lock_path, read_lock, resolve, resolve_over
from photonbuild.store import Store

FREEZE = cached.FREEZE
BASE = "build"  # what layers lie over


def lock(config: Config, store: Store, name: str, warn: Warn) -> Path:
    """Resolve the seed anew, build it, and write its lock with the digest of the result."""
    seed = config.seed(name)
    base: dict[str, str] = {}
    wanted: Callable[..., tuple[Deb, ...]] = resolve
    if name in config.seeds.layers:
        base = {"base": read_lock(config, BASE)["digest"]}
        below = build(config, store, BASE, warn, locked=True, offline=False)
        wanted = functools.partial(resolve_over, status=below.root / "var/lib/dpkg/status")
    debs = wanted(config, seed)
    try:
        fetch_debs(config, store, seed, debs, warn, locked=True)
    except SourceError as error:
        # Its index is read from elsewhere than its files: it may list what is not given.
        warn(f"{name} seed: without the security archive, which does not give what it lists: {error.message}")
        debs = wanted(config, seed, security=False)
    frozen = _make(config, store, name, debs, warn, locked=True)
    path = lock_path(config, name)
    write_json(
        path,
        {
            "suite": seed.suite,
            **base,
            "go_toolchain": seed.go_toolchain,
            "digest": frozen.digest,
            "packages": [{"path": deb.path, "size": deb.size, "sha256": deb.sha256} for deb in debs],
        },
    )
    _remember(config, store, frozen)
    return path


def _remember(config: Config, store: Store, frozen: FrozenSeed) -> None:
    entry = _entry(config, store, frozen.name)
    entry.mkdir(parents=True, exist_ok=True)
    write_inputs(entry, seed_inputs(config, frozen.name))
    write_json(entry / "seed.json", sealed({"digest": frozen.digest}), durable=True)


def _entry(config: Config, store: Store, name: str) -> Path:
    """Where the store keeps which frozen seed the lock gave, and the inputs."""
    return store.seeds / name / key_of(seed_inputs(config, name))[:32]


def is_ready(config: Config, store: Store, name: str) -> bool:
    """Is the seed of the lock in the store?"""
    return lock_path(config, name).exists() and _stored(config, store, name) is not None


def _stored(config: Config, store: Store, name: str) -> FrozenSeed | None:
    """The seed of the lock that the store has, or None; it is in use from now on."""
    record = read_sealed(_entry(config, store, name) / "seed.json")
    if record is None:
        return None
    digest = str(record.get("digest"))
    root = store.use(store.seeds / digest)
    try:
        elf = _listing(root).read_text(encoding="ascii").split()
    except (FileNotFoundError, ValueError):
        return None
    if not root.is_dir() or any(len(line) != 64 for line in elf):
        return None
    return FrozenSeed(name=name, digest=digest, root=root, elf=frozenset(elf))


def _listing(root: Path) -> Path:
    """Where the digests of a seed's ELF files are."""
    return root.with_name(f"{root.name}.elf")


def seed_entries(store: Store, name: str) -> list[Path]:
    """The folders of all that were made of a seed here."""
    return sorted((store.seeds / name).glob("*"))


def seed_inputs(config: Config, name: str) -> dict[str, Any]:
    """All that a seed is made from: its locked packages, how they are installed, what is then removed and checked."""
    seed, lock = config.seed(name), read_lock(config, name)
    debs = [Deb(**entry) for entry in lock["packages"]]
    return {
        "packages": {deb.name: f"{Path(deb.path).name} {deb.sha256}" for deb in debs},
        "go_toolchain": lock["go_toolchain"],
        "epoch": config.distribution.source_date_epoch,
        "install": _how(seed, lock),
        "freeze": _freeze_settings(config, name, None),
        "code": code.digests([FREEZE]),
    }


def _how(seed: Seed, lock: Mapping[str, Any]) -> list[str]:
    """How the packages of a lock are installed: those of a layer are unpacked over what its lock names."""
    if "base" in lock:
        return [*unpack_argv(Path("/package.deb"), Path("/root")), lock["base"]]
    return [word for word in mmdebstrap_argv(seed, Path("/repo"), Path("/tar")) if "--mode=" not in word]


def _freeze_settings(config: Config, name: str, toolchain: Path | None) -> dict[str, Any]:
    """What inside/freeze.py is told."""
    seed = config.seed(name)
    return {
        "exclude_paths": list(seed.exclude_paths),
        "prune": list(seed.prune),
        "check_devel": name in (BASE, *config.seeds.layers),
        "devel_owners": list(config.seeds.devel_owners),
        "devel_allowed": list(config.seeds.devel_allowed),
        "go": str(toolchain) if toolchain else None,
    }


def build(
    config: Config,
    store: Store,
    name: str,
    warn: Warn,
    *,
    locked: bool,
    offline: bool,
    caches: Caches | None = None,
    info: Warn = lambda text: None,
) -> FrozenSeed:
    """The frozen seed of the lock, from the store, from a shared cache, or made now.

    Where the archive has dropped a locked package the current one is taken, with a warning; `locked` refuses that, and
    a seed of the store that was made so.
    """
    content = read_lock(config, name)
    if content.get("base", "") not in ("", read_lock(config, BASE)["digest"]):
        raise SourceError(
            f"the {name} seed is locked for another {BASE} seed",
            where=str(lock_path(config, name)),
            hint=f"photonbuild seed lock {name}",
        )
    with store.lock(f"seed-{name}"):
        frozen = _stored(config, store, name)
        # Once for each start of the machine. More often is for `check`: it takes a fifth of a second.
        if frozen is not None and not is_checked(frozen.root) and not _is_intact(store, frozen):
            frozen = None
        if frozen is None or (locked and frozen.digest != content["digest"]):
            if caches is not None and (shared := _shared(config, store, name, caches, content["digest"])) is not None:
                return shared
            if caches is not None and caches.only:
                raise StoreError(f"the {name} seed is in no cache", hint="without --from-cache-only it is made here")
            if offline:
                raise SourceError(f"the {name} seed is not in the store", hint="run once without --offline")
            info(f"making the {name} seed: fetching and installing its packages takes a minute or two")
            frozen = _make(config, store, name, [Deb(**entry) for entry in content["packages"]], warn, locked=locked)
            if frozen.digest != content["digest"]:
                text = f"{name} seed: digest {frozen.digest[:16]}… differs from the locked {content['digest'][:16]}…"
                if locked:
                    raise SourceError(text, where=str(lock_path(config, name)), hint="photonbuild seed lock")
                warn(text)
            _remember(config, store, frozen)
            send(config, store, frozen, caches)
    return frozen


def send(config: Config, store: Store, frozen: FrozenSeed, caches: Caches | None) -> None:
    """To the caches, in a while, a seed that is exactly what its lock names."""
    if caches and caches.targets and frozen.digest == read_lock(config, frozen.name)["digest"]:
        epoch = config.distribution.source_date_epoch
        parts = cached.seed_parts(store, frozen.root, frozen.digest, frozen.elf, epoch=epoch)
        caches.push_later("seed", frozen.name, key_of(seed_inputs(config, frozen.name)), parts)


def _shared(config: Config, store: Store, name: str, caches: Caches, digest: str) -> FrozenSeed | None:
    """The seed of a cache, if that is the one that the lock names."""
    found = caches.find("seed", name, key_of(seed_inputs(config, name)))
    if found is None:
        return None
    try:
        listing = cached.read_listing(caches, found)
    except Void as void:
        caches.forget(void.entry)
        return None
    if listing.digest != digest:
        return None
    place = _Shared(config=config, store=store, caches=caches, found=found, listing=listing)
    return FrozenSeed(name=name, digest=digest, elf=listing.elf, place=place)


@dataclass(kw_only=True)
class _Shared:
    """The tree of a seed that is still in a cache."""

    config: Config
    store: Store
    caches: Caches
    found: Found
    listing: cached.Listing
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def _root(self) -> Path:
        return self.store.seeds / self.listing.digest

    @property
    def is_there(self) -> bool:
        return self._root.is_dir()

    def holds(self, path: str) -> bool:
        paths = self.listing.paths
        return resolves(path, paths.get, lambda place: place == "" or place in paths)

    def bring(self) -> Path:
        name = self.found.manifest.name
        with self.guard:
            if self.is_there:
                return self._root
            with self.store.lock(f"seed-{name}"):
                frozen = _stored(self.config, self.store, name)
                if frozen is None or frozen.digest != self.listing.digest:
                    self._fetch(name)
        return self._root

    def _fetch(self, name: str) -> None:
        frozen = FrozenSeed(name=name, digest=self.listing.digest, elf=self.listing.elf, root=self._root)
        try:
            cached.fetch_tree(self.caches, self.found, self.store, self.listing, self._publish)
        except Void as void:
            self.caches.forget(void.entry)
            if self.caches.only:
                raise
            debs = [Deb(**entry) for entry in read_lock(self.config, name)["packages"]]
            made = _make(self.config, self.store, name, debs, self.caches.warn, locked=False)
            if made.digest != frozen.digest:
                _remember(self.config, self.store, made)
                hint = "run the same command again: it goes by what was made here"
                raise SourceError(f"the {name} seed that was made here is not the locked one", hint=hint) from None
        _remember(self.config, self.store, frozen)

    def _publish(self, work: Path) -> None:
        (work / "elf").write_text("\n".join(sorted(self.listing.elf)) + "\n", encoding="ascii")
        final = self.store.use(self._root)
        self.store.publish(work / "elf", _listing(final))
        self.store.publish(work / "root", final)


def check(store: Store, frozen: FrozenSeed) -> bool:
    """Is the seed still what was made, as far as names, sizes and times tell? One that is not is removed."""
    with store.lock(f"seed-{frozen.name}"):
        return _is_intact(store, frozen)


def _is_intact(store: Store, frozen: FrozenSeed) -> bool:
    if store.is_intact(frozen.root):
        return True
    discard(store, frozen.root)
    return False


def discard(store: Store, root: Path) -> None:
    """Remove a seed and what is beside it. Entries that name it are found to be void.

    Raises StoreError for one that another store lends to this one: it is not ours to remove.
    """
    if not root.resolve().is_relative_to(store.root.resolve()):
        raise StoreError("a seed of another store is damaged", where=str(root.resolve()), hint="remove it there")
    _listing(root).unlink(missing_ok=True)
    store.discard(root)
    for path in root.parent.glob(f"{root.name}.*"):
        path.unlink(missing_ok=True)


def _make(config: Config, store: Store, name: str, debs: Sequence[Deb], warn: Warn, *, locked: bool) -> FrozenSeed:
    seed = config.seed(name)
    store.need_room()
    files = fetch_debs(config, store, seed, debs, warn, locked=locked)
    with store.staging() as work:
        if name in config.seeds.layers:
            unpack(store, files, work)
        else:
            bootstrap(store, name, seed, debs, files, work, epoch=config.distribution.source_date_epoch)
        root = work / "root"
        host = store.host_sandbox(work)
        host = dataclasses.replace(host, binds=[*host.binds, Bind(code.program(FREEZE), "/freeze.py")])
        toolchain = fetch_go(config, store, seed, root, work) if seed.go_toolchain else None
        settings = _freeze_settings(config, name, toolchain)
        write_json(work / "settings.json", settings)
        done = run_inside(store, host, ["python3", "-I", "/freeze.py", str(root), str(work / "settings.json")])
        result = json.loads(done.stdout)
        if result.get("problems"):
            raise SandboxError(
                f"the {name} seed holds third-party development files",
                where="build/seed.yaml",
                detail="\n".join(result["problems"][:20]),
                hint="add them to 'prune' or 'devel_allowed'",
            )
        final = store.use(store.seeds / result["digest"])
        if final.exists() and not store.is_intact(final):
            discard(store, final)
        listing = work / "elf"
        listing.write_text("\n".join(result["elf"]) + "\n", encoding="ascii")
        store.publish(listing, _listing(final))
        store.publish(root, final)
    return FrozenSeed(name=name, digest=result["digest"], root=final, elf=frozenset(result["elf"]))
