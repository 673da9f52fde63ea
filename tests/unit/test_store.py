"""The store: entries that appear whole, leftovers, a full disk."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from photonbuild import contents
from photonbuild.errors import StoreError
from photonbuild.store import ELSEWHERE, Store, _marker


def test_staging_is_gone_unless_published(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    with store.staging() as work:
        (work / "out").mkdir()
        (work / "out" / "file").write_text("x")
        store.publish(work / "out", store.package("p", "k"))
    assert (store.package("p", "k") / "file").read_text() == "x"
    assert list((store.root / "tmp").iterdir()) == []


def test_first_of_two_publishers_wins(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    for text in ("first", "second"):
        with store.staging() as work:
            (work / "out").mkdir()
            (work / "out" / "file").write_text(text)
            store.publish(work / "out", store.package("p", "k"))
    assert (store.package("p", "k") / "file").read_text() == "first"


def test_leftovers_of_dead_builds_are_swept_and_live_ones_kept(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    dead = store.root / "tmp" / "w-dead"
    dead.mkdir()
    dead.with_suffix(".lock").touch()
    with store.staging() as live:
        Store.open(tmp_path / "store")
        assert live.exists()
        assert not dead.exists()


def test_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as error:
        Store.open(tmp_path / "file" / "store")
    assert error.value.exit_code == 10
    assert "PHOTONBUILD_STORE" in str(error.value.hint)


def test_full_disk_is_said_before_work_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to those who only look."""
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("U", (), {"free": 1 << 20, "total": usage.f_blocks})())
    store = Store.open(tmp_path / "store")
    with pytest.raises(StoreError, match="only 1 MiB are free") as error:
        store.need_room()
    assert error.value.exit_code == 10


def test_a_sweep_between_making_a_lock_and_holding_it_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is swept there takes another name."""
    store = Store.open(tmp_path / "store")
    real = fcntl.flock
    calls: list[int] = []

    def flock(handle: int, how: int) -> None:
        if not calls:
            calls.append(handle)
            Store.open(tmp_path / "store")
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with store.staging() as work:
        assert calls and _marker(work).exists()
        Store.open(tmp_path / "store")
        assert work.is_dir()
    assert list((store.root / "tmp").iterdir()) == []


def test_work_whose_lock_file_a_power_loss_took_is_swept(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    (store.root / "tmp" / "work-0123456789ab").mkdir()
    Store.open(tmp_path / "store")
    assert list((store.root / "tmp").iterdir()) == []


def test_what_belongs_to_work_elsewhere_goes_with_it(tmp_path: Path) -> None:
    """As when a seed is made in /tmp by an ordinary user, and that is killed."""
    store = Store.open(tmp_path / "store")
    dead, elsewhere = store.root / "tmp" / "work-0123456789ab", tmp_path / "elsewhere"
    for folder in (dead, elsewhere, elsewhere / "below"):
        folder.mkdir()
    _marker(dead).touch()
    (dead / ELSEWHERE).symlink_to(elsewhere)
    Store.open(tmp_path / "store")
    assert not elsewhere.exists() and not dead.exists()


def entry_of(store: Store) -> Path:
    """A published entry with a file, a folder and a link."""
    with store.staging() as work:
        (work / "out" / "sub").mkdir(parents=True)
        (work / "out" / "sub" / "file").write_bytes(b"content" * 1000)
        (work / "out" / "link").symlink_to("sub/file")
        store.publish(work / "out", store.package("p", "k"))
    return store.package("p", "k")


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def flip(path: Path) -> None:
    """Another byte; size and time are the same, as after a fault of the disk."""
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def other_mode(path: Path) -> None:
    path.chmod(0o4755)


def another_file(path: Path) -> None:
    path.with_name("more").touch()


def other_target(path: Path) -> None:
    link = path.parents[1] / "link"
    link.unlink()
    link.symlink_to("/etc/passwd")


@pytest.mark.parametrize("damage", [truncate, Path.unlink, other_mode, another_file, other_target])
def test_damage_is_found(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    said: list[str] = []
    entry = entry_of(Store.open(tmp_path / "store"))
    assert Store.open(tmp_path / "store").is_intact(entry)
    damage(entry / "sub" / "file")
    assert not Store.open(tmp_path / "store", said.append).is_intact(entry)
    assert said[0].startswith("packages/p/k in the store is damaged: ")


def test_digests_are_looked_at_after_each_start_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power loss may have taken what had a name already, whatever its size and time say."""
    entry = entry_of(Store.open(tmp_path / "store"))
    flip(entry / "sub" / "file")
    assert Store.open(tmp_path / "store").is_intact(entry)
    (tmp_path / "boot").write_text("another\n")
    monkeypatch.setattr(contents, "BOOT_ID", tmp_path / "boot")
    assert not Store.open(tmp_path / "store").is_intact(entry)


def test_a_copied_store_is_intact(tmp_path: Path) -> None:
    """Only times differ: digests are looked at once, and the times put down."""
    entry = entry_of(Store.open(tmp_path / "store"))
    os.utime(entry / "sub" / "file", (1, 1))
    assert Store.open(tmp_path / "store").is_intact(entry)
    assert "1000000000" in (entry / contents.LIST).read_text()


def test_a_damaged_list_of_contents_is_damage(tmp_path: Path) -> None:
    """Found when the list is next needed."""
    entry = entry_of(Store.open(tmp_path / "store"))
    truncate(entry / contents.LIST)
    (entry / contents.BOOT).write_text("{")
    assert not Store.open(tmp_path / "store").is_intact(entry)


def test_an_entry_of_an_older_version_is_given_a_list(tmp_path: Path) -> None:
    entry = entry_of(Store.open(tmp_path / "store"))
    (entry / contents.LIST).unlink()
    assert Store.open(tmp_path / "store").is_intact(entry)
    truncate(entry / "sub" / "file")
    assert not Store.open(tmp_path / "store").is_intact(entry)
