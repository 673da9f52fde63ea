"""The caches of a run: entries are found and verified, their blobs fetched and checked, and what is made here is sent.

A cache never ends a build. One that cannot be reached is named once, and left out for the rest of the run; an entry
that is not what its key and its signature promise is named, and never used.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from photonbuild import __version__
from photonbuild.cache.entry import RECORD, Cache, Entry, Found, Packer, Void, words
from photonbuild.cache.manifest import (
    MOST_INLINE,
    MOST_MANIFEST,
    Kind,
    Manifest,
    Part,
    blob_path,
    decode,
    encode,
    entry_path,
    inline,
    text_of,
)
from photonbuild.cache.parts import MOST_JSON, unpack_json
from photonbuild.cache.places import Place, open_place
from photonbuild.cache.signature import PublicKey, Signer, load_signer, verify
from photonbuild.config.cache import UserCaches
from photonbuild.errors import PhotonbuildError, StoreError
from photonbuild.files import sha256_of
from photonbuild.store import Store

T = TypeVar("T")
SENDERS = 2


@dataclass(kw_only=True)
class Caches:
    """The caches of a run, in order, whose entries are believed, and the key that signs what is sent. Thread-safe.

    `only`: nothing is made here, a cache has it or the run fails.
    """

    store: Store
    caches: Sequence[Cache] = ()
    trusted: Sequence[PublicKey] = ()
    signer: Signer | None = None
    leave_out: Sequence[str] = ()
    warn: Callable[[str], None] = lambda text: None
    only: bool = False
    misses: int = 0
    _known: dict[Entry, Found | None] = field(default_factory=dict)
    _void: set[Entry] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor | None = None

    @classmethod
    def open(cls, settings: UserCaches, store: Store, *, root: Path, warn: Callable[[str], None]) -> Caches:
        """Those of a configuration; nothing is asked of them yet. Raises ConfigError."""
        signer = load_signer(settings.key) if settings.caches else None
        caches = [Cache(each.name, open_place(each, root), each.access == "write") for each in settings.caches]
        trusted = [PublicKey.parse(text) for text in settings.trust]
        if signer is not None and signer.public.raw not in {key.raw for key in trusted}:
            trusted.append(signer.public)
        return cls(store=store, caches=caches, trusted=trusted, signer=signer, leave_out=settings.leave_out, warn=warn)

    def __bool__(self) -> bool:
        return bool(self.caches)

    @property
    def targets(self) -> list[Cache]:
        """Where what is made here is sent to."""
        return [cache for cache in self.caches if cache.writes and not cache.down] if self.signer else []

    def find(self, kind: Kind, name: str, key: str) -> Found | None:
        """The entry under this key: of an earlier run as the store has it, or of the first cache that has one."""
        entry = (kind, name, key)
        if not self.trusted or entry in self._void:
            return None
        if entry not in self._known:
            found = self._kept(entry) or self._fetched(entry)
            with self._guard:
                self._known[entry] = found
                self.misses += found is None
            return found
        return self._known[entry]

    def _copy(self, entry: Entry) -> Path:
        return self.store.root / entry_path(*entry)

    def _kept(self, entry: Entry) -> Found | None:
        """What an earlier run has fetched. Another configuration may have believed others."""
        try:
            data = self._copy(entry).read_bytes()
            return self._read(data, entry, None)
        except (OSError, StoreError):
            return None

    def _fetched(self, entry: Entry) -> Found | None:
        path = entry_path(*entry)
        for cache in self.caches:
            data = self._ask(cache, lambda place: place.read(path))
            if data is None:
                continue
            try:
                found = self._read(data, entry, cache.name)
            except StoreError as error:
                self._refuse(cache, entry, error.message)
                continue
            cache.hits += 1
            cache.received += len(data)
            self._keep(entry, data)
            return found
        return None

    def _read(self, data: bytes, entry: Entry, cache: str | None) -> Found:
        if len(data) > MOST_MANIFEST:
            raise StoreError("its manifest is too large")
        payload, key = verify(data, self.trusted)
        kind, name, digest = entry
        return Found(manifest=decode(payload, kind=kind, name=name, key=digest), key=key, cache=cache)

    def _keep(self, entry: Entry, data: bytes) -> None:
        target = self._copy(entry)
        with self.store.staging() as work:
            (work / "entry").write_bytes(data)
            target.parent.mkdir(parents=True, exist_ok=True)
            (work / "entry").replace(target)
        self.store.use(target)

    def json(self, found: Found, part: str) -> Any:
        """A part that is JSON. Raises Void."""
        wanted = found.manifest.parts.get(part)
        with self.store.staging() as work:
            try:
                if wanted is not None and wanted.unpacked <= MOST_JSON:
                    self.fetch(found, part, work / "part")
                    return unpack_json((work / "part").read_bytes(), wanted.unpacked)
            except StoreError as error:
                self._refuse_found(found, error.message)
        raise Void(found.entry)

    def fetch(self, found: Found, part: str, target: Path) -> None:
        """Bring the bytes of a part, as their digest in the manifest says, to the path `target`. Raises Void."""
        wanted = found.manifest.parts.get(part)
        if wanted is None:
            raise Void(found.entry)
        try:
            data = inline(wanted)
        except StoreError as error:
            self._refuse_found(found, error.message)
            raise Void(found.entry) from None
        if data is not None:
            if (len(data), hashlib.sha256(data).hexdigest()) == (wanted.size, wanted.sha256):
                target.write_bytes(data)
                return
            self._refuse_found(found, f"its part '{part}' is not what its digest says")
            raise Void(found.entry)
        order = sorted(self.caches, key=lambda cache: cache.name != found.cache)
        if not any(self._fetch(cache, found, part, wanted, target) for cache in order):
            raise Void(found.entry)

    def _fetch(self, cache: Cache, found: Found, part: str, wanted: Part, target: Path) -> bool:
        path = blob_path(wanted.sha256)
        if not self._ask(cache, lambda place: place.get(path, target, wanted.size)):
            if cache.name == found.cache and not cache.down:
                self._refuse(cache, found.entry, f"its part '{part}' is not there")
            return False
        if target.stat().st_size != wanted.size or sha256_of(target) != wanted.sha256:
            cache.bad.add(path)
            self._refuse(cache, found.entry, f"its part '{part}' is not what its digest says")
            return False
        cache.received += wanted.size
        return True

    def has(self, cache: Cache, path: str) -> bool:
        """Has this cache this file?"""
        return bool(self._ask(cache, lambda place: place.has(path)))

    def times(self, cache: Cache) -> Mapping[str, tuple[int, float]] | None:
        """What this cache holds; see `Place.times`."""
        return self._ask(cache, lambda place: place.times())

    def forget(self, entry: Entry) -> None:
        """An entry is not asked for again in this run, and the next run asks the caches anew."""
        with self._guard:
            self._void.add(entry)
            self._known[entry] = None
        self._copy(entry).unlink(missing_ok=True)

    def refuse(self, found: Found, reason: str) -> Void:
        """An entry whose content is not what it says: it is named, and to be left alone from now on."""
        self._refuse_found(found, reason)
        return Void(found.entry)

    def _refuse_found(self, found: Found, reason: str) -> None:
        for cache in self.caches:
            cache.bad.add(found.manifest.path)
        names = f"cache {found.cache}" if found.cache else "a cache"
        self.warn(f"{names}: {words(found.entry)} is not used: {reason}")

    def _refuse(self, cache: Cache, entry: Entry, reason: str) -> None:
        cache.bad.add(entry_path(*entry))
        self.warn(f"cache {cache.name}: {words(entry)} is not used: {reason}")

    def _ask(self, cache: Cache, question: Callable[[Place], T]) -> T | None:
        """The answer of a cache; None of one that cannot be reached."""
        return None if cache.down else self._try(cache, question, cache.lose)

    def _tell(self, cache: Cache, question: Callable[[Place], T]) -> T | None:
        """As `_ask`, of one that is written to."""
        return self._try(cache, question, cache.refuse) if cache.writes and not cache.down else None

    def _try(self, cache: Cache, question: Callable[[Place], T], give_up: Callable[[str], str | None]) -> T | None:
        try:
            return question(cache.place)
        except (PhotonbuildError, OSError) as error:
            with self._guard:
                said = give_up(str(error))
            if said is not None:
                self.warn(f"cache {cache.name} {said}")
            return None

    def push(self, kind: Kind, name: str, key: str, parts: Mapping[str, Packer]) -> bool:
        """Send an entry to every cache that is written to and has it not; was there one?"""
        path = entry_path(kind, name, key)
        missing = [cache for cache in self.targets if self._lacks(cache, path)]
        if not missing:
            return False
        assert self.signer is not None
        with self.store.staging() as work:
            described = {}
            for part, pack in parts.items():
                unpacked = pack(work / part)
                described[part] = _described(work / part, unpacked, small=part == RECORD)
            manifest = Manifest(kind=kind, name=name, key=key, parts=described, made_by=f"photonbuild {__version__}")
            (work / ".entry").write_bytes(self.signer.sign(encode(manifest)))
            sent = [self._send(cache, manifest, work) for cache in missing]
            return any(sent)

    def push_later(self, kind: Kind, name: str, key: str, parts: Mapping[str, Packer]) -> None:
        """The same beside other work; `finish` waits for it. What goes wrong is a warning."""
        if not self.targets:
            return

        def send() -> None:
            try:
                self.push(kind, name, key, parts)
            except (PhotonbuildError, OSError) as error:
                self.warn(f"{kind} {name} was not sent to a cache: {error}")

        with self._guard:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="cache")
            self._pool.submit(send)

    def _send(self, cache: Cache, manifest: Manifest, work: Path) -> bool:
        """Blobs first: an entry that is there is whole."""
        sent = 0
        for name, part in manifest.parts.items():
            path = blob_path(part.sha256)
            if part.data is None and self._lacks(cache, path):
                self._put(cache, work / name, path)
                sent += part.size
        self._put(cache, work / ".entry", manifest.path)
        if not cache.writes or cache.down:
            return False
        with self._guard:
            cache.sent += sent + (work / ".entry").stat().st_size
            cache.pushed += 1
        return True

    def _lacks(self, cache: Cache, path: str) -> bool:
        return path in cache.bad or self._tell(cache, lambda place: place.has(path)) is False

    def _put(self, cache: Cache, source: Path, path: str) -> None:
        self._tell(cache, lambda place: place.put(source, path))
        cache.bad.discard(path)

    def finish(self, *, cancel: bool = False) -> None:
        """Wait for what is being sent; with `cancel` what is not begun stays."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=cancel)
            self._pool = None


def _described(path: Path, unpacked: int, *, small: bool) -> Part:
    size = path.stat().st_size
    data = text_of(path.read_bytes()) if small and size <= MOST_INLINE else None
    return Part(sha256=sha256_of(path), size=size, unpacked=unpacked, data=data)
