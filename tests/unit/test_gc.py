"""Garbage collection: what is chosen, and that nothing goes that is in use or was used meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from photonbuild import gc
from photonbuild.cli.main import main
from photonbuild.store import Store, last_use

ROOT = Path(__file__).parents[2]
NOW = 2_000_000_000.0
DAY = 86400.0


def rows(*used: float) -> list[gc.Entry]:
    return [gc.Entry(paths=(f"sources/{number}",), used=NOW - age, size=10) for number, age in enumerate(used)]


@pytest.mark.parametrize(
    ("ages", "older", "size", "gone"),
    [
        ((3 * DAY, 1 * DAY, 2 * DAY), 1.5 * DAY, None, [0, 2]),
        ((3 * DAY, 1 * DAY, 2 * DAY), None, 10, [0, 2]),
        ((3 * DAY, 1 * DAY, 2 * DAY), None, 30, []),
        ((3 * DAY, 1 * DAY, 2 * DAY), None, 0, [0, 2, 1]),
        # With both nothing younger goes, and no more than has to.
        ((3 * DAY, 1 * DAY, 2 * DAY), 1.5 * DAY, 0, [0, 2]),
        ((3 * DAY, 1 * DAY, 2 * DAY), 0.5 * DAY, 25, [0]),
        # A clock that was wrong: what was used in the future is young.
        ((-DAY, 2 * DAY), 1.0, None, [1]),
        ((-DAY, 2 * DAY, -2 * DAY), None, 20, [1]),
    ],
)
def test_what_is_chosen(ages: tuple[float, ...], older: float | None, size: int | None, gone: list[int]) -> None:
    chosen = gc.choose(rows(*ages), older=older, size=size, now=NOW)
    assert [entry.name for entry in chosen] == [f"sources/{number}" for number in gone]


@pytest.mark.parametrize("text", ["", "d", "10", "-1d", "1.2.3d", "10y", "1e3d", "nan d"])
def test_times_and_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        gc.seconds_of(text)


def test_times_and_sizes() -> None:
    assert gc.seconds_of("1.5d") == 1.5 * DAY
    assert gc.seconds_of("90m") == 5400
    assert gc.bytes_of("2G") == 2 << 30
    assert gc.bytes_of("512k") == 512 << 10


def filled(root: Path) -> Store:
    """A store with something of every kind, all of it last used long ago."""
    store = Store.open(root)
    seed, key = "a" * 64, root / "seeds" / "build" / "key"
    for path in ("sources/s", "debs/d", "specs/k.json", "packages/p/k/build.json", "images/i/k/result.json"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x" * 5000)
    (root / "failed" / "p" / "build").mkdir(parents=True)
    (root / "seeds" / seed / "usr").mkdir(parents=True)
    for suffix in ("elf", "contents.json", "contents.boot"):
        (root / "seeds" / f"{seed}.{suffix}").touch()
    key.mkdir(parents=True)
    (key / "seed.json").write_text(json.dumps({"digest": seed}))
    for file in sorted(root.rglob("*"), reverse=True):
        os.utime(file, (1000, 1000))
    return store


def test_everything_of_an_entry_goes_together(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    found = gc.entries(store)
    assert len(found) == 7
    assert all(gone for _, gone in gc.collect(store, found, dry_run=True))
    assert gc.entries(store) == found
    assert all(gone for _, gone in gc.collect(store, found, dry_run=False))
    left = sorted(str(p.relative_to(store.root)) for p in store.root.rglob("*") if p.is_file())
    assert left == ["locks/gc"]
    assert gc.entries(store) == []


def test_what_another_process_uses_stays_until_it_ends(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    program = (
        "import sys; from pathlib import Path; from photonbuild.store import Store\n"
        "store = Store(Path(sys.argv[1])); store.use(store.package('p', 'k'))\n"
        "store.use(store.root / 'seeds' / ('a' * 64))\n"
        "print('used', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", program, str(store.root)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout is not None and other.stdout.readline() == "used\n"
        for _ in range(2):
            Store.open(store.root)
            stays = {e.name for e, gone in gc.collect(store, gc.entries(store), dry_run=False) if not gone}
            assert stays == {"packages/p/k", f"seeds/{'a' * 64}"}
        other.kill()
    Store.open(store.root)
    assert not list((store.root / "locks").glob("uses-*"))
    # It is young now.
    assert gc.choose(gc.entries(store), older=60.0, size=None, now=gc.now()) == []
    assert all(gone for _, gone in gc.collect(store, gc.entries(store), dry_run=False))


def test_what_is_used_after_it_was_chosen_stays(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    chosen = gc.choose(gc.entries(store), older=60.0, size=None, now=gc.now())
    assert len(chosen) == 7
    user = Store(store.root)
    user.use(store.root / "sources" / "s")
    del user
    assert [e.name for e, gone in gc.collect(store, chosen, dry_run=False) if not gone] == ["sources/s"]


def test_what_a_process_has_mounted_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path / "store")
    line = f"40 30 0:50 /store/seeds/{'a' * 64} /mnt ro - ext4 /dev/vda ro\n"
    monkeypatch.setattr(gc, "_mounts", lambda: iter([line]))
    assert [e.name for e, gone in gc.collect(store, gc.entries(store), dry_run=False) if not gone] == [
        f"seeds/{'a' * 64}"
    ]


def test_the_command(tmp_path: Path) -> None:
    store = filled(tmp_path / "store")
    options = ["--root", str(ROOT), "--store", str(store.root)]
    for wrong in ([], ["--older-than", "soon"], ["--max-size", "1"]):
        assert CliRunner().invoke(main, ["gc", *wrong, *options]).exit_code == 2
    done = CliRunner().invoke(main, ["gc", "--older-than", "30d", "--dry-run", *options])
    assert done.exit_code == 0, done.output
    assert "packages/p/k" in done.stdout and "would be freed" in done.stderr
    assert last_use(store.package("p", "k")) == 1000
    assert CliRunner().invoke(main, ["gc", "--older-than", "30d", *options]).exit_code == 0
    assert not store.package("p", "k").exists()
