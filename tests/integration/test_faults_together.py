"""Many at once on one store, and clocks that jump: nobody disturbs another, and no time of day decides on anything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

from photonbuild.files import sha256_of
from tests.support.faults import IMAGE, FaultLab, Run

VARIANTS = ("one", "two")


def finished(processes: list[subprocess.Popen[str]]) -> list[Run]:
    outputs = [process.communicate(timeout=900) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return [Run(stdout=stdout, stderr=stderr) for stdout, stderr in outputs]


def test_ten_at_once_on_an_empty_store(lab: FaultLab) -> None:
    runs = finished([lab.start("build", "mini-suite", "mini") for _ in range(10)])
    assert len({run.stdout for run in runs}) == 1
    built = [
        event["package"] for run in runs for event in run.events if event["event"] == "finish" and not event["cached"]
    ]
    assert sorted(built) == sorted(set(built)), "something was built twice"
    assert lab.left() == [] and lab.alive() == []
    for name in ("mini", "libmini"):
        assert len(list((lab.store / "packages" / name).iterdir())) == 1


def test_images_of_one_checkout_at_once(lab: FaultLab) -> None:
    """Each makes a repository of its own packages in the same place."""
    images, profiles = lab.root / "build" / "images", lab.root / "build" / "profiles"
    for number, name in enumerate(VARIANTS):
        packages = ["mini-root", "mini-data"][: number + 1]
        (images / f"{name}.yaml").write_text(f"format: oci\nprofile: {name}\nvariant: -{name}\n")
        (profiles / f"{name}.yaml").write_text(
            f"name: {name}\ndescription: some\npackages: [{', '.join(packages)}]\n", encoding="utf-8"
        )
    alone = {name: lab.results("image", name) for name in VARIANTS}
    for path in (lab.store / "images", lab.store / "packages", lab.root / "stage"):
        shutil.rmtree(path)
    runs = finished([lab.start("image", name) for name in VARIANTS for _ in range(2)])
    for name, run in zip([name for name in VARIANTS for _ in range(2)], runs, strict=True):
        (path,) = run.paths
        assert {path.name: sha256_of(path)} == alone[name]
    assert lab.left() == [] and lab.alive() == []


def test_a_build_and_its_collection_at_once(lab: FaultLab) -> None:
    """What a running build has is in use, however small the store is to be."""
    wanted = lab.results("image", IMAGE)
    shutil.rmtree(lab.store / "images")
    (lab.store / "sources" / "unused").write_text("of nobody")
    process = lab.start("image", IMAGE)
    assert process.stderr is not None
    seen = ""
    while '"root file system"' not in seen:
        seen += process.stderr.readline()
    process.send_signal(signal.SIGSTOP)
    collected = lab.run("gc", "--max-size", "1K", "--dry-run")
    process.send_signal(signal.SIGCONT)
    assert "sources/unused" in collected.stdout
    assert not any(name in collected.stdout for name in ("packages/mini-root", "packages/mini-data", "images/tiny"))
    stdout, _ = process.communicate(timeout=300)
    (path,) = Run(stdout=stdout, stderr="").paths
    assert process.returncode == 0 and {path.name: sha256_of(path)} == wanted, seen


def test_what_was_collected_is_made_again(lab: FaultLab) -> None:
    wanted = lab.results("image", IMAGE)
    listed = lab.run("gc", "--max-size", "1K", "--dry-run").stdout
    assert "packages/mini-root/" in listed and "images/tiny/" in listed
    # The seeds are the real ones: this store must not have them while it is collected.
    seeds = (lab.store / "seeds").readlink()
    (lab.store / "seeds").unlink()
    gone = lab.run("gc", "--max-size", "1K").stdout
    assert "packages/mini-root/" in gone
    assert not list((lab.store / "packages").iterdir()) and not list((lab.store / "images").iterdir())
    (lab.store / "seeds").rmdir()
    (lab.store / "seeds").symlink_to(seeds)
    assert lab.results("image", IMAGE) == wanted
    assert lab.left() == []


def test_a_clock_that_jumps_changes_nothing(lab: FaultLab) -> None:
    """By ten years forth or back at every look; the files of the store are as old, or not yet made."""
    wanted = lab.results("image", IMAGE, clock=1)
    for number, path in enumerate(sorted(lab.store.glob("*/*/*/*.json"))):
        os.utime(path, (number % 2 * 4e9, (number + 1) % 2 * 4e9))
    again = lab.run("image", IMAGE, clock=2)
    assert [event for event in again.events if event["event"] == "finish" and not event["cached"]] == []
    (path,) = again.paths
    assert {path.name: sha256_of(path)} == wanted
    assert lab.run("image", IMAGE).warnings() == []
    shutil.rmtree(lab.store / "packages")
    shutil.rmtree(lab.store / "images")
    assert lab.results("image", IMAGE) == wanted
