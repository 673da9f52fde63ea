"""Seeds that are damaged, half there, or not the locked ones."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.errors import SourceError, StoreError
from photonbuild.pipeline.configuration import load_config
from photonbuild.seeds import fetch, install, seed
from photonbuild.seeds.frozen import FrozenSeed
from photonbuild.seeds.lock import Deb
from photonbuild.store import ELSEWHERE, Store

ROOT = Path(__file__).parents[3]
DIGEST = "d" * 64


@pytest.fixture
def config() -> Config:
    return load_config(ROOT)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Seeds are made of one file; how often, and whether only the locked packages would do."""
    calls: list[bool] = []

    def make(config: Config, store: Store, name: str, debs: list[Deb], warn: fetch.Warn, *, locked: bool) -> FrozenSeed:
        calls.append(locked)
        final = store.seeds / DIGEST
        with store.staging() as work:
            (work / "root").mkdir()
            (work / "root" / "program").write_text("content")
            (work / "elf").write_text(f"{'e' * 64}\n")
            store.publish(work / "elf", final.with_name(f"{DIGEST}.elf"))
            store.publish(work / "root", final)
        return FrozenSeed(name=name, digest=DIGEST, root=final, elf=frozenset(["e" * 64]))

    monkeypatch.setattr(seed, "_make", make)
    return calls


def build(config: Config, store: Store, *, locked: bool = False) -> FrozenSeed:
    return seed.build(config, store, "build", lambda text: None, locked=locked, offline=False)


def test_a_seed_is_made_once(config: Config, made: list[bool], tmp_path: Path) -> None:
    for _ in range(2):
        frozen = build(config, Store.open(tmp_path / "store"))
        assert (frozen.digest, frozen.elf) == (DIGEST, frozenset(["e" * 64]))
    assert made == [False]


def test_locked_refuses_a_stored_seed_of_other_packages(config: Config, made: list[bool], tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    build(config, store)
    with pytest.raises(SourceError, match="differs from the locked"):
        build(config, store, locked=True)
    assert made == [False, True]


@pytest.mark.parametrize("lost", [DIGEST, f"{DIGEST}.elf", "build/*/seed.json"])
def test_a_seed_of_which_a_part_is_lost_is_made_again(
    config: Config, made: list[bool], tmp_path: Path, lost: str
) -> None:
    store = Store.open(tmp_path / "store")
    build(config, store)
    (path,) = store.seeds.glob(lost)
    store.remove(path)
    assert not seed.is_ready(config, store, "build")
    assert build(config, store).root.joinpath("program").read_text() == "content"
    assert len(made) == 2


def test_a_damaged_seed_is_made_again(config: Config, made: list[bool], tmp_path: Path) -> None:
    frozen = build(config, Store.open(tmp_path / "store"))
    (frozen.root / "program").write_text("other")
    said: list[str] = []
    store = Store.open(tmp_path / "store", said.append)
    assert not seed.check(store, frozen)
    assert said == [
        f"{store.seeds.relative_to(store.root)}/{DIGEST} in the store is damaged: program has changed; it is made again"
    ]
    assert build(config, store).root.joinpath("program").read_text() == "content"
    assert seed.check(store, frozen)


def test_a_seed_that_another_store_lends_is_not_removed(config: Config, made: list[bool], tmp_path: Path) -> None:
    frozen = build(config, Store.open(tmp_path / "lender"))
    borrower = Store.open(tmp_path / "store")
    (borrower.root / "seeds").rmdir()
    (borrower.root / "seeds").symlink_to(tmp_path / "lender" / "seeds")
    (frozen.root / "program").write_text("other")
    with pytest.raises(StoreError, match="of another store"):
        seed.check(borrower, build(config, borrower))
    assert (frozen.root / "program").exists()


def test_a_damaged_package_of_a_seed_is_fetched_again(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, content = Store.open(tmp_path / "store"), b"package"
    deb = Deb(path="pool/a/a_1_all.deb", size=7, sha256=hashlib.sha256(content).hexdigest())
    (store.root / "debs" / deb.sha256).write_bytes(b"pack")
    monkeypatch.setattr(fetch, "archives_of", lambda path, settings: ("http://a.example/debian",))
    monkeypatch.setattr(fetch, "download", lambda url, target, limit: target.write_bytes(content))
    said: list[str] = []
    (path,) = fetch.fetch_debs(config, store, config.seed("build"), [deb], said.append, locked=True)
    assert path.read_bytes() == content
    assert said == [f"debs/{deb.sha256} in the store is damaged; it is fetched again"]


@pytest.mark.parametrize(("user", "mode", "elsewhere"), [(0, 0o700, False), (1000, 0o755, False), (1000, 0o700, True)])
def test_where_a_seed_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int, mode: int, elsewhere: bool
) -> None:
    """mmdebstrap's ids cannot enter a closed folder of an ordinary user; what is made elsewhere is swept as well."""
    # Not in a folder of pytest's, which is closed, and lies in others that are.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(mode)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with Store.open(folder / "store").staging() as work:
            with monkeypatch.context() as playing:
                playing.setattr(os, "geteuid", lambda: user)
                place = install._place(work)
            assert place.stat().st_mode & 0o777 == 0o755
            assert (tmp_path in place.parents) == elsewhere
            assert (work / ELSEWHERE).is_symlink() == elsewhere
        assert not place.exists()
