"""Shared caches between machines: a folder, web servers, S3. Each machine is a store of its own over one checkout."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from photonbuild.cache.signature import new_key
from photonbuild.log import Reporter
from photonbuild.packages import repo
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.integration.conftest import PROJECT, Checkout, make_checkout
from tests.support import serving
from tests.support.faults import add_image
from tests.support.minio import bucket
from tests.support.webdav import Davs, dav

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Team:
    """One checkout, one key, and where the cache is; every machine has a store of its own, over the real seeds."""

    checkout: Checkout
    folder: Path
    public: str
    secret: Path

    def machine(self, name: str, *, address: str | None = None, access: str = "read", **more: object) -> Checkout:
        """A machine with an empty store, unless it was there before."""
        where = address or f"{self.folder}/cache"
        cache = {"name": "team", ("url" if "://" in where else "path"): where, "access": access}
        settings = {"caches": [cache], "trust": [self.public], **more}
        if access == "write":
            settings["key"] = str(self.secret)
        return self.checkout.machine(self.folder / "stores" / name, {"cache": settings})

    @property
    def cache(self) -> Path:
        return self.folder / "cache"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, seeded_store: Path) -> tuple[Team, dict[str, str]]:
    """CI has built all and the image, into a cache in a folder; and what came of it."""
    folder = tmp_path_factory.mktemp("team")
    checkout = make_checkout(folder, seeded_store)
    add_image(checkout.root)
    public, secret = new_key("team", folder / "keys")
    team = Team(checkout, folder, str(public), secret)
    writer = team.machine("ci", access="write")
    built = digests(writer.run("build", "mini-suite", "mini", "mini-root"))
    built |= digests(writer.run("image", "tiny"))
    writer.run("cache", "push", "--no-seeds", "mini-suite", "mini", "--image", "tiny")
    return team, built


@pytest.fixture
def team(filled: tuple[Team, dict[str, str]], tmp_path: Path) -> Team:
    """The same with a copy of the cache, to be harmed."""
    source, _ = filled
    (tmp_path / "team").mkdir()
    shutil.copytree(source.cache, tmp_path / "team" / "cache")
    shutil.copytree(source.checkout.root, tmp_path / "team" / "checkout", symlinks=True)
    checkout = replace(source.checkout, root=tmp_path / "team" / "checkout")
    return Team(checkout, tmp_path / "team", source.public, source.secret)


def digests(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    paths = [Path(line) for line in done.stdout.splitlines()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def built_here(machine: Checkout) -> set[str]:
    return {path.name for path in (machine.store / "packages").iterdir()}


def test_an_empty_store_builds_nothing(filled: tuple[Team, dict[str, str]]) -> None:
    team, built = filled
    reader = team.machine("reader")
    planned = reader.run("plan", "mini-suite")
    assert "0 will be built" in planned.stderr and "in the cache team" in planned.stdout
    done = digests(reader.run("build", "mini-suite", "mini", "mini-root", "--from-cache-only"))
    assert done == {name: built[name] for name in done} and len(done) >= 4
    assert built_here(reader) == set() and reader.leftovers() == []
    assert any(reader.store.glob("shared/*/complete/mini/*/srpms/mini-*.src.rpm"))
    # What repositories say of packages is the same whether it is read from them or came in their records.
    rpms = {path.name: path for path in (team.folder / "stores" / "ci").glob("packages/*/*/rpms/*.rpm")}
    said = {name: repo.metadata_of(path) for name, path in rpms.items()}
    folders = [team.folder / name for name in ("files", "records", "repository")]
    for folder in folders[:2]:
        folder.mkdir()
    repo.make_metadata(rpms, folders[0], revision=1)
    repo.make_metadata(said, folders[1], revision=1)
    repo.make_repository(list(rpms.values()), folders[2], revision=1)
    written = [{p.name: p.read_bytes() for p in (f / "repodata").iterdir()} for f in folders]
    assert written[0] == written[1] == written[2]
    # The trees are those that a build leaves.
    (one,) = (team.folder / "stores" / "ci" / "packages" / "mini").glob("*/trees")
    (other,) = reader.store.glob("shared/*/complete/mini/*/trees")
    assert subprocess.run(["diff", "-r", "--no-dereference", one, other], check=False).returncode == 0
    # Nothing is asked of the cache for what was fetched.
    team.cache.rename(team.cache.with_name("away"))
    try:
        assert digests(reader.run("build", "mini-suite", "mini", "mini-root")) == done
        assert digests(reader.run("build", "mini-suite", "mini", "mini-root", "--offline")) == done
    finally:
        team.cache.with_name("away").rename(team.cache)


def test_an_image_comes_without_its_packages(filled: tuple[Team, dict[str, str]]) -> None:
    team, built = filled
    reader = team.machine("viewer")
    done = reader.run("image", "tiny", "--from-cache-only")
    assert digests(done).items() <= built.items()
    assert "tiny came from the cache team" in done.stderr
    forms = {path.parent.parent.name for path in reader.store.glob("shared/*/*/*/*")}
    assert forms == {"image"} and built_here(reader) == set()
    assert "in the store" in reader.run("why", "image:tiny").stdout


@pytest.mark.long
def test_what_is_changed_here_is_built_over_what_comes_from_there(team: Team) -> None:
    reader = team.machine("developer")
    reader.edit("mini", "%description\n", "%description\nChanged.\n")
    done = reader.run("build", "mini", "--json")
    assert built_here(reader) == {"mini"}
    finished = [json.loads(line) for line in done.stderr.splitlines() if '"finish"' in line]
    came = {event["package"]: (event["cached"], event["cache"]) for event in finished}
    assert came["mini"] == (False, None) and came["libmini"] == (True, "team")
    # What it is built with has come, but no more: neither debuginfo nor sources.
    assert any(reader.store.glob("shared/*/package/libmini/*/trees/libmini-devel"))
    assert not any(reader.store.glob("shared/*/*/*/*/*/*debuginfo*"))
    # It is made as if all had been built here.
    alone = reader.machine(team.folder / "alone", {})
    ours = {path.name: path.read_bytes() for path in reader.store.glob("packages/mini/*/rpms/*")}
    alone.run("build", "mini")
    assert ours == {path.name: path.read_bytes() for path in alone.store.glob("packages/mini/*/rpms/*")}


def test_from_cache_only_says_what_is_missing_and_why(team: Team) -> None:
    reader = team.machine("gate")
    reader.edit("mini-data", "%description\n", "%description\nChanged.\n")
    done = reader.run("build", "mini-suite", "--from-cache-only", code=10)
    assert "not in the store and in no cache: mini-data, and 2" in done.stderr and "never built here" in done.stderr
    assert "--from-cache-only" in done.stderr and built_here(reader) == set()


def harmed(team: Team, change: Callable[[bytes], bytes], *, name: str = "libmini") -> None:
    (entry,) = (team.cache / "entries" / "package" / name).glob("*.json")
    entry.write_bytes(change(entry.read_bytes()))


def test_a_forged_entry_is_named_and_built(team: Team, filled: tuple[Team, dict[str, str]]) -> None:
    harmed(team, lambda data: data.replace(b'"sig": "', b'"sig": "AAAA', 1))
    reader = team.machine("reader")
    done = reader.run("build", "mini")
    assert done.stderr.count("warning:") == 1 and "cache team: package libmini" in done.stderr
    assert built_here(reader) == {"libmini"}
    assert digests(done).items() <= filled[1].items()


@pytest.mark.long
def test_the_entries_of_another_team_are_not_used(team: Team) -> None:
    reader = team.machine("reader", trust=[str(new_key("other", team.folder / "keys")[0])])
    done = reader.run("build", "mini-data")
    assert "not signed by a key that is trusted here" in done.stderr and built_here(reader) == {"mini-data"}
    # What another checkout has fetched into the same store is not believed either.
    team.machine("reader").run("build", "libmini")
    again = team.machine("reader", trust=[])
    again.run("build", "libmini")
    assert built_here(again) == {"mini-data", "libmini"}


@pytest.mark.long
def test_a_blob_that_is_not_what_it_should_be_is_built_instead(team: Team, filled: tuple[Team, dict[str, str]]) -> None:
    for blob in (team.cache / "blobs").iterdir():
        blob.write_bytes(b"x" + blob.read_bytes()[1:])
    reader = team.machine("reader")
    assert digests(reader.run("image", "tiny")).items() <= filled[1].items()


@pytest.mark.long
def test_a_writer_puts_right_what_is_wrong(team: Team) -> None:
    harmed(team, lambda data: data[:100])
    team.machine("ci2", access="write").run("build", "libmini")
    reader = team.machine("reader")
    reader.run("build", "libmini", "--from-cache-only")
    assert built_here(reader) == set()


def test_a_cache_that_is_down_costs_one_warning(team: Team) -> None:
    reader = team.machine("reader", address="http://127.0.0.1:9/cache")
    started = time.monotonic()
    done = reader.run("plan", "mini-suite")
    assert done.stderr.count("warning:") == 1 and "cache team cannot be reached, and is left out" in done.stderr
    assert "will    mini-data" in done.stdout and time.monotonic() - started < 20


@pytest.mark.long
def test_a_web_server_is_read_and_written(team: Team, filled: tuple[Team, dict[str, str]]) -> None:
    (team.folder / "dav").mkdir()
    with serving.served(dav(team.folder / "dav")) as port:
        address = f"http://127.0.0.1:{port}/cache"
        writer = team.machine("ci", address=address, access="write")
        writer.store.rename(team.folder / "unused")
        (team.folder / "stores" / "ci").symlink_to(filled[0].folder / "stores" / "ci")
        writer.run("cache", "push", "--no-seeds", "mini-suite", "mini")
        assert "has" in writer.run("cache", "status", "mini").stdout
        reader = team.machine("reader", address=address)
        done = digests(reader.run("build", "mini-suite", "--from-cache-only"))
        assert done.items() <= filled[1].items() and built_here(reader) == set()
        refused = writer.run("cache", "gc", "--older-than", "1d", code=2)
        assert "cannot list what it holds" in refused.stderr


@pytest.mark.long
@pytest.mark.parametrize("fault", ["cut", "drip", "error", "flood"])
def test_a_web_server_with_faults_ends_no_build(team: Team, fault: str) -> None:
    """Every third answer is cut off, or comes by drops, or is an error, or is longer than it says."""
    with serving.served(dav(team.folder, Davs(fault=fault, every=3))) as port:
        reader = team.machine("reader", address=f"http://127.0.0.1:{port}/cache")
        done = reader.run("build", "mini-suite")
        assert "warning:" in done.stderr and reader.leftovers() == []


@pytest.mark.long
def test_s3(team: Team, filled: tuple[Team, dict[str, str]], minio: str) -> None:
    writer = team.machine("ci", address=f"{minio}/below", access="write")
    writer.store.rename(team.folder / "unused")
    (team.folder / "stores" / "ci").symlink_to(filled[0].folder / "stores" / "ci")
    writer.run("cache", "push", "--no-seeds", "mini-suite", "mini", "--image", "tiny")
    reader = team.machine("reader", address=f"{minio}/below")
    done = digests(reader.run("build", "mini-suite", "--from-cache-only"))
    assert done.items() <= filled[1].items() and built_here(reader) == set()
    status = reader.run("cache", "status", "mini").stdout
    assert "entries" in status and "; read\n" in status
    gone = writer.run("cache", "gc", "--size", "1K").stdout.splitlines()
    assert gone and "holds 0 entries" in reader.run("cache", "status", "mini").stdout


def test_two_machines_push_at_once(team: Team, filled: tuple[Team, dict[str, str]]) -> None:
    shutil.rmtree(team.cache)
    machines = [team.machine(name, access="write") for name in ("one", "two")]
    for machine in machines:
        machine.store.rename(machine.store.with_name(f"{machine.store.name}.unused"))
        shutil.copytree(filled[0].folder / "stores" / "ci", machine.store, symlinks=True)
    threads = [
        threading.Thread(target=machine.run, args=("cache", "push", "--no-seeds", "mini-suite")) for machine in machines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = team.machine("reader")
    reader.run("build", "mini-suite", "--from-cache-only")
    assert not [path for path in team.cache.rglob("*") if path.name.startswith(".")]


@pytest.mark.long
def test_a_push_that_is_killed_leaves_nothing_half(team: Team, filled: tuple[Team, dict[str, str]]) -> None:
    shutil.rmtree(team.cache)
    writer = team.machine("ci", access="write")
    writer.store.rename(team.folder / "unused")
    shutil.copytree(filled[0].folder / "stores" / "ci", writer.store, symlinks=True)
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    for number in range(12):
        process = subprocess.Popen(writer.argv("cache", "push", "--no-seeds", "mini-suite", "--image", "tiny"), env=env)
        time.sleep(1.0 + 0.15 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for entry in team.cache.glob("entries/*/*/*.json"):
            json.loads(entry.read_text())
    writer.run("cache", "push", "--no-seeds", "mini-suite", "--image", "tiny")
    reader = team.machine("reader")
    reader.run("build", "mini-suite", "--from-cache-only")
    assert reader.leftovers() == []


@pytest.fixture(scope="module")
def minio(seeded_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    session = Session(config=load_config(PROJECT), store=Store.open(seeded_store), reporter=Reporter())
    with bucket(session, tmp_path_factory.mktemp("minio")) as address:
        yield address
