"""More than one provider for a source: they are tried in order, and one that is gone is not the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.config.models import Mirrors
from photonbuild.config.sources import DebSrc, Provider, Snapshot, SourceEntry, Url
from photonbuild.errors import SourceError
from photonbuild.pipeline.configuration import load_config
from photonbuild.sources.fetch import Fetcher, fetch, fetch_anew
from photonbuild.store import Store
from tests.support.debian_archive import Archive, served

CONTENT = b"upstream's archive\n"
PATH = "pool/main/t/tool/tool_1.0.orig.tar.gz"
SECURITY = "pool/updates/main/t/tool/tool_1.0-1+deb13u1.debian.tar.xz"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with served(tmp_path / "archive") as found:
        found.add("tool", "1.0-1", {Path(PATH).name: CONTENT})
        found.add("tool", "1.0-1+deb13u1", {Path(SECURITY).name: CONTENT}, security=True)
        yield found


def fetcher_of(tmp_path: Path, archive: Archive) -> Fetcher:
    store = Store(tmp_path / "store")
    for name in ("tmp", "sources"):
        (store.root / name).mkdir(parents=True)
    config = load_config(Path(__file__).parents[3])
    user = config.user.model_copy(update={"mirrors": Mirrors(**archive.settings)})
    return Fetcher(config=replace(config, user=user), store=store, roots=lambda *names: (tmp_path,))


def entry_of(*providers: Provider) -> SourceEntry:
    return SourceEntry(file="tool-1.0.tar.gz", sha512=hashlib.sha512(CONTENT).hexdigest(), providers=providers)


POOL = DebSrc(type="deb-src", path=PATH)
KEPT = Snapshot(type="snapshot", sha1=hashlib.sha1(CONTENT).hexdigest())


def test_what_the_pool_has_dropped_comes_from_the_snapshot_service(tmp_path: Path, archive: Archive) -> None:
    (archive.root / "debian" / PATH).unlink()
    fetcher = fetcher_of(tmp_path, archive)
    assert fetch(fetcher, tmp_path / "specs" / "tool", entry_of(POOL, KEPT)).read_bytes() == CONTENT


def test_a_pool_with_other_bytes_is_passed_over(tmp_path: Path, archive: Archive) -> None:
    (archive.root / "debian" / PATH).write_bytes(b"other bytes\n")
    fetcher = fetcher_of(tmp_path, archive)
    assert fetch(fetcher, tmp_path / "specs" / "tool", entry_of(POOL, KEPT)).read_bytes() == CONTENT


def test_upstream_is_asked_last_and_every_failure_is_named(tmp_path: Path, archive: Archive) -> None:
    fetcher = fetcher_of(tmp_path, archive)
    for path in (archive.root / "debian" / PATH, archive.root / "file" / KEPT.sha1):
        path.unlink()
    gone = Url(type="url", url=f"{archive.url}/gone")
    with pytest.raises(SourceError) as caught:
        fetch(fetcher, tmp_path / "specs" / "tool", entry_of(POOL, KEPT, gone))
    assert [line.partition(":")[0] for line in str(caught.value.detail).splitlines()] == ["deb-src", "snapshot", "url"]


def test_the_security_archive_gives_what_is_in_its_pool(tmp_path: Path, archive: Archive) -> None:
    fetcher = fetcher_of(tmp_path, archive)
    entry = entry_of(DebSrc(type="deb-src", path=SECURITY))
    assert fetch(fetcher, tmp_path / "specs" / "tool", entry).read_bytes() == CONTENT


def test_a_lock_is_taken_from_the_first_provider_that_answers(tmp_path: Path, archive: Archive) -> None:
    (archive.root / "debian" / PATH).unlink()
    locked = fetch_anew(fetcher_of(tmp_path, archive), tmp_path / "specs" / "tool", entry_of(POOL, KEPT))
    assert (locked.sha512, locked.size) == (hashlib.sha512(CONTENT).hexdigest(), len(CONTENT))
