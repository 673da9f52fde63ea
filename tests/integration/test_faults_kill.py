"""kill -9 at any moment: nothing runs on, and the same command then gives the same digests and leaves nothing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import serving
from tests.support.faults import IMAGE, FaultLab

SOURCE = b"0123456789abcdef" * 65536
# The order in which `image` reports them; `start` and `finish` are of a package.
PHASES = (
    "seed",
    "specs",
    "packages",
    "start",
    "finish",
    "repository",
    "solve",
    "root file system",
    "oci image",
    "stage",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "moment" in metafunc.fixturenames:
        first, count = metafunc.config.getoption("--kill-seed"), metafunc.config.getoption("--kills")
        metafunc.parametrize("moment", range(first, first + count))


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, str]]:
    """What a build gives that nothing happens to, by its command, and how many calls it makes."""
    return {}


def undisturbed(lab: FaultLab, known: dict[str, dict[str, str]], *words: str) -> dict[str, str]:
    """The results of a first run of a command, and under "calls" how many of them it makes."""
    if words[0] not in known:
        count = lab.root / "count"
        results = lab.results(*words, count=str(count))
        known[words[0]] = {**results, "calls": count.read_text()}
        for path in (*(lab.store / name for name in ("packages", "images", "specs")), lab.root / "stage"):
            shutil.rmtree(path, ignore_errors=True)
    return known[words[0]]


def resumes(lab: FaultLab, wanted: dict[str, str], *words: str) -> None:
    """Nothing runs on; the same command gives the same results; nothing is left."""
    assert lab.alive() == []
    again = lab.results(*words)
    assert again == {name: digest for name, digest in wanted.items() if name != "calls"}
    assert lab.left() == []
    assert lab.alive() == []


def test_kill_at_a_moment_of_a_cold_build(lab: FaultLab, known: dict[str, dict[str, str]], moment: int) -> None:
    """Half of the moments are a time, half a system call that makes a name or brings something to the disk."""
    wanted = undisturbed(lab, known, "build")
    chance = random.Random(moment)
    if moment % 2:
        process = lab.start("build", kill=chance.randint(1, int(wanted["calls"])))
    else:
        process = lab.start("build")
        line = process.stderr.readline() if process.stderr else ""
        assert json.loads(line)["event"] == "run"
        time.sleep(chance.uniform(0, 2.5))
        process.kill()
    process.communicate(timeout=120)
    resumes(lab, wanted, "build")


@pytest.mark.parametrize("phase", PHASES)
def test_kill_in_each_phase_of_an_image(lab: FaultLab, known: dict[str, dict[str, str]], phase: str) -> None:
    wanted = undisturbed(lab, known, "image", IMAGE)
    process = lab.start("image", IMAGE)
    assert process.stderr is not None
    for line in process.stderr:
        event = json.loads(line)
        if phase in (event["event"], event.get("name")):
            # Into it, not only to its door.
            time.sleep(random.Random(phase).uniform(0, 0.1))
            process.kill()
            break
    process.communicate(timeout=120)
    assert process.returncode == -9, f"it was over before {phase}"
    resumes(lab, wanted, "image", IMAGE)


class Slow(serving.Quiet):
    """Serves half of a file, and the rest when it is told to."""

    go_on = threading.Event()
    half_sent = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(SOURCE)))
        self.end_headers()
        self.wfile.write(SOURCE[: len(SOURCE) // 2])
        self.half_sent.set()
        self.go_on.wait(60)
        self.wfile.write(SOURCE[len(SOURCE) // 2 :])


@pytest.fixture
def slow() -> Iterator[str]:
    Slow.go_on.clear()
    Slow.half_sent.clear()
    with serving.served(Slow) as port:
        yield f"http://127.0.0.1:{port}/file"
        Slow.go_on.set()


def test_kill_while_a_source_is_fetched(lab: FaultLab, slow: str) -> None:
    digest = hashlib.sha512(SOURCE).hexdigest()
    (lab.root / "specs" / "mini" / "sources.yaml").write_text(
        f"sources:\n  - file: big\n    sha512: {digest}\n    providers:\n      - {{type: url, url: '{slow}'}}\n"
    )
    process = lab.start("sources", "fetch", "mini")
    assert Slow.half_sent.wait(60)
    process.kill()
    process.communicate()
    assert list((lab.store / "sources").iterdir()) == []
    Slow.go_on.set()
    lab.run("sources", "fetch", "mini")
    assert [path.read_bytes() == SOURCE for path in (lab.store / "sources").iterdir()] == [True]
    assert lab.left() == [] and lab.alive() == []


def test_kill_while_a_seed_is_made(lab: FaultLab, seeded_store: Path) -> None:
    """mmdebstrap, what it has started and mounted ends with us; the next command of any kind removes what is left."""
    (lab.store / "seeds").unlink()
    shutil.copytree(seeded_store / "debs", lab.store / "debs", copy_function=os.link)
    process = lab.start("seed", "build", "machine")
    log = lab.store / "logs" / "seed-machine.log"
    deadline = time.monotonic() + 300
    while not (log.exists() and "extracting archives" in log.read_text(errors="replace")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.communicate()
    assert lab.alive() == []
    lab.run("gc", "--older-than", "1000w")
    assert lab.left() == []
    assert not list((lab.store / "seeds").glob("*/*/seed.json"))
