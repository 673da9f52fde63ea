"""What may befall a cluster: the right result a little later, or one clear error; never a wrong one, and no hang.

A worker that is silent is given up by Buildbarn after a minute, which these tests wait for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import Client, digests
from tests.integration.conftest import PROJECT, Checkout, make_checkout
from tests.support.cluster import Cluster, cluster

SECONDS = 25  # that the slow package takes
PATIENCE = 600


@pytest.fixture
def duo(programs: Path, place: Path) -> Iterator[Cluster]:
    """A cluster of two workers for one test, to break."""
    with cluster(programs, place / "duo") as made:
        made.start_storage()
        made.start_scheduler()
        for name in ("ada", "bob"):
            made.start_worker(name, unpacked=place / "unpacked")
        yield made


@pytest.fixture
def user(duo: Cluster, tmp_path: Path, seeded_store: Path) -> Client:
    return Client(make_checkout(tmp_path / "user", seeded_store), duo.address)


@contextlib.contextmanager
def building(client: Client, *names: str, before: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """A client that runs beside the block, and has succeeded at its end unless that has waited for it."""
    argv = [*before, *client.checkout.argv("build", *names, *client.options)]
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "200"}
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd=client.checkout.root
    )
    try:
        yield process
        if process.returncode is None:
            said, _ = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, said
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], object], what: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited for: {what}"
        time.sleep(0.2)


def building_worker(made: Cluster) -> str:
    """The worker that has just begun the build of the slow package."""
    found: list[str] = []

    def look() -> bool:
        found[:] = [
            name
            for name in made.workers
            if made.is_busy(name) and any((made.home(name) / "cache" / "tmp").glob("work-*/out"))
        ]
        return bool(found)

    until(look, "a worker that builds")
    return found[0]


def check(client: Client) -> None:
    """The result is that of a build here, and nothing is left behind."""
    theirs = client.digests()
    assert theirs and theirs == built_here(client, "mini-slow") and client.checkout.leftovers() == []


def built_here(client: Client, *names: str) -> dict[str, str]:
    """What this machine makes of the same specs, in a store of its own."""
    here = Checkout(root=client.checkout.root, store=client.checkout.store.parent / "here")
    here.store.mkdir()
    (here.store / "seeds").symlink_to(client.checkout.store / "seeds")
    here.run("build", *names)
    return digests(here.store)


def test_a_worker_dies(duo: Cluster, user: Client) -> None:
    with building(user, user.slow(SECONDS)):
        name = building_worker(duo)
        duo.running[name].stop()
        duo.running[f"{name}-runner"].stop()
    check(user)


def test_a_worker_stops_answering(duo: Cluster, user: Client) -> None:
    """As a machine that is swapped out, and comes back later with a result that nobody waits for."""
    with building(user, user.slow(SECONDS)):
        stopped = duo.running[building_worker(duo)]
        stopped.send(signal.SIGSTOP)
    stopped.send(signal.SIGCONT)
    check(user)


def test_the_scheduler_is_started_anew(duo: Cluster, user: Client) -> None:
    with building(user, user.slow(SECONDS)):
        building_worker(duo)
        duo.running["scheduler"].restart()
    check(user)


def test_the_storage_is_started_anew(duo: Cluster, user: Client) -> None:
    with building(user, user.slow(SECONDS)):
        building_worker(duo)
        duo.running["storage"].restart()
    check(user)


def test_the_storage_has_lost_everything(duo: Cluster, user: Client) -> None:
    """While a client believes that it is there: it sends it again."""
    user.checkout.spec("mini").write_text(
        user.checkout.spec("mini").read_text(encoding="utf-8").replace("%build\n", "%build\nsleep 20\n", 1),
        encoding="utf-8",
    )
    with building(user, "mini-suite", "mini") as process:
        until(lambda: duo.executed() >= 2, "the first builds")
        building_worker(duo)
        duo.running["storage"].stop()
        for name in ("cas", "ac"):
            for path in (duo.folder / "storage" / name).rglob("*"):
                if path.is_file():
                    path.unlink()
        duo.running["storage"].start()
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
    theirs = user.digests()
    assert theirs == built_here(user, "mini-suite", "mini")


def test_blobs_are_damaged(duo: Cluster, user: Client, tmp_path: Path, seeded_store: Path) -> None:
    """Each byte that the storage has is another one now: it is noticed, and built again."""
    user.build(user.slow(0))
    expected = user.digests()
    duo.running["storage"].stop(signal.SIGTERM)
    blocks = duo.folder / "storage" / "cas" / "blocks"
    with blocks.open("r+b") as file:
        start = 0
        while True:
            try:
                start = os.lseek(file.fileno(), start, os.SEEK_DATA)
                end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            except OSError:
                break
            while start < end:
                data = os.pread(file.fileno(), min(1 << 20, end - start), start)
                start += os.pwrite(file.fileno(), data.translate(bytes(range(255, -1, -1))), start)
    duo.running["storage"].start()
    second = Client(make_checkout(tmp_path / "second", seeded_store), duo.address)
    (second.checkout.root / "specs" / "mini-slow").mkdir()
    for path in (user.checkout.root / "specs" / "mini-slow").iterdir():
        (second.checkout.root / "specs" / "mini-slow" / path.name).write_bytes(path.read_bytes())
    second.build("mini-slow")
    assert second.digests() == expected


def test_a_client_is_killed_and_takes_up_again(duo: Cluster, user: Client) -> None:
    """The engine goes on for a minute; the second try joins what runs."""
    name = user.slow(SECONDS)
    with building(user, name) as process:
        building_worker(duo)
        process.kill()
        process.wait()
    user.build(name)
    assert duo.executed() == 1
    check(user)


def test_ctrl_c(duo: Cluster, user: Client) -> None:
    with building(user, user.slow(120)) as process:
        building_worker(duo)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 130 and time.monotonic() - started < 20, said
    assert user.checkout.leftovers() == []


def test_the_network_of_a_worker_is_cut_for_a_minute(duo: Cluster, user: Client) -> None:
    with building(user, user.slow(SECONDS)):
        name = duo.namespaces[building_worker(duo)]
        duo.network.cut(name)
        time.sleep(60)
        duo.network.mend(name)
    check(user)


def test_the_network_of_a_client_is_cut_for_a_minute(duo: Cluster, user: Client) -> None:
    """The server gives up the connection meanwhile, which the client learns since it asks something now and then."""
    name = duo.network.namespace()
    with building(user, user.slow(SECONDS), before=("ip", "netns", "exec", name)):
        building_worker(duo)
        duo.network.cut(name)
        time.sleep(60)
        duo.network.mend(name)
        mended = time.monotonic()
    assert time.monotonic() - mended < 180
    check(user)


def test_a_worker_without_room(programs: Path, place: Path, tmp_path: Path, seeded_store: Path) -> None:
    """Tried at most three times more, then said: which worker, and what it lacks."""
    folder = place / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "small", str(folder)], check=True)
    try:
        with cluster(programs, place / "full") as made:
            made.start_storage()
            made.start_scheduler()
            made.start_worker("tiny", lives_on=folder)
            client = Client(make_checkout(tmp_path / "user", seeded_store), made.address)
            said = client.build("mini-data", code=11)
            assert "worker tiny" in said and "MiB are free" in said and said.count("tried again") == 3
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_an_engine_without_workers(programs: Path, place: Path, tmp_path: Path, seeded_store: Path) -> None:
    with cluster(programs, place / "idle") as made:
        made.start_storage()
        made.start_scheduler()
        client = Client(make_checkout(tmp_path / "user", seeded_store), made.address)
        said = client.build("mini-data", code=11)
        assert "No workers exist" in said


def test_a_cache_that_executes_nothing(programs: Path, place: Path, tmp_path: Path, seeded_store: Path) -> None:
    with cluster(programs, place / "cache") as made:
        made.start_storage(execution=False)
        client = Client(make_checkout(tmp_path / "user", seeded_store), made.address)
        started = time.monotonic()
        said = client.build("mini-data", code=11)
        assert "executes nothing" in said and time.monotonic() - started < 30


def test_nobody_there(tmp_path: Path, seeded_store: Path) -> None:
    client = Client(make_checkout(tmp_path / "user", seeded_store), "grpc://127.0.0.1:9")
    started = time.monotonic()
    assert "cannot be reached" in client.build("mini-data", code=11) and time.monotonic() - started < 30
