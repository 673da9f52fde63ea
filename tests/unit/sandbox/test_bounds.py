"""When a command in a sandbox is stopped, where a build root lies, what may be left in a folder: without a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.errors import StoreError
from photonbuild.packages import room
from photonbuild.packages.built import Cost
from photonbuild.packages.room import Rooms
from photonbuild.sandbox.sandbox import LEAST_ROOM, MOST_OUTPUT, Bind, Bounds

GIB = 1 << 30


@pytest.mark.parametrize(
    ("seconds", "silent", "size", "reason"),
    [
        (99.0, 9.0, 0, None),
        (101.0, 0.0, 0, "longer than 100 s"),
        (99.0, 11.0, 0, "printed nothing for 10 s"),
        (1.0, 0.0, MOST_OUTPUT + 1, "more than 256 MiB"),
    ],
)
def test_reasons_to_stop(seconds: float, silent: float, size: int, reason: str | None) -> None:
    found = Bounds(seconds=100.0, silence=10.0, outputs=(), disks=()).reason(seconds, silent, size)
    assert found is None if reason is None else reason in str(found)


def test_a_disk_that_fills_stops_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        f_frsize = 4096
        f_bavail = (LEAST_ROOM >> 12) - 1

    bounds = Bounds(seconds=None, silence=None, outputs=(), disks=(tmp_path / "log",))
    monkeypatch.setattr("os.statvfs", lambda _path: Full)
    with pytest.raises(StoreError, match="no space left"):
        bounds.check_disks()


def test_build_roots_share_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "available_memory", lambda: 64 * GIB)
    rooms = Rooms(total=16 * GIB)
    with rooms.reserve(6 * GIB) as first, rooms.reserve(3 * GIB) as second, rooms.reserve(2 * GIB) as third:
        assert (first, second, third) == (True, False, True)
    with rooms.reserve(8 * GIB) as again:
        assert again


def test_a_build_may_take_twice_what_it_took() -> None:
    rooms = Rooms(total=100 * GIB)
    assert rooms.limit(Cost(scratch_bytes=GIB, peak_rss=2 * GIB), jobs=4) == 18 * GIB
    assert rooms.limit(Cost(scratch_bytes=0, peak_rss=1 << 20), jobs=2) == 4 * GIB
    assert rooms.limit(Cost(), jobs=2) == 90 * GIB
    assert rooms.limit(Cost(scratch_bytes=GIB, peak_rss=9 * GIB), jobs=64) == 90 * GIB


def test_links_that_lead_out(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name, target in (
        ("near", "a/b"),
        ("a/b/up", "../../near"),
        ("absolute", "/etc/passwd"),
        ("a/out", "../../x"),
        ("a/b/folder", "../../.."),
    ):
        (tmp_path / name).symlink_to(target)
    assert Bind(tmp_path, "/work", readonly=False).stray_links() == ["a/b/folder", "a/out", "absolute"]
