"""What workers build is what this machine builds, once for all who ask."""

from __future__ import annotations

import concurrent.futures
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.pipeline.session import Session
from photonbuild.remote.actions import Again, Result, action
from photonbuild.remote.endpoint import endpoint
from photonbuild.remote.engine import Engine, engine
from tests.cluster.conftest import Client, cheapest, digests, fresh_store
from tests.integration.conftest import make_checkout
from tests.support.cluster import Cluster, cluster

REAL = 20
NOTHING = 1_000


def test_the_small_distribution(client: Client, other: Client) -> None:
    """Every package, source package and file, by its digest; then again, from the action cache alone."""
    said = client.build()
    assert "5 packages: 5 built" in said and client.checkout.leftovers() == []
    other.checkout.run("build")
    assert client.digests() == other.digests() and len(client.digests()) > 15


def test_who_asks_second_gets_the_same_result(trio: Cluster, client: Client, other: Client) -> None:
    number = uuid.uuid4().hex
    for one in (client, other):
        one.anew(number)
    client.build()
    before = trio.executed()
    other.build()
    assert trio.executed() == before and client.digests() == other.digests()


def test_two_clients_at_once(trio: Cluster, client: Client, other: Client) -> None:
    """What both want is built once: actions in flight are merged by the engine."""
    number = uuid.uuid4().hex
    before = trio.executed()
    for one in (client, other):
        one.anew(number)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.build(), (client, other)))
    assert client.digests() == other.digests() and trio.executed() - before == 5


def test_a_worker_of_an_ordinary_user(
    programs: Path, place: Path, tmp_path: Path, seeded_store: Path, other: Client
) -> None:
    """With sub-ids, as `photonbuild worker setup` makes it; twice, and a failure between that leaves nothing behind."""
    with cluster(programs, place / "ordinary") as made:
        made.start_storage()
        made.start_scheduler()
        made.start_worker("nob", ordinary=True)
        client = Client(make_checkout(tmp_path / "client", seeded_store), made.address)
        name = client.slow(0)
        client.checkout.edit("mini-data", "%install\n", "%install\nexit 3\n")
        assert "does not build" in client.build("mini-data", code=6)
        client.checkout.edit("mini-data", "exit 3\n", "")
        client.build("mini-suite", "mini", "libmini", name)
        assert not list((made.home("nob") / "build").glob("*/*")) and not list(
            (made.home("nob") / "cache/tmp").iterdir()
        )
        (other.checkout.root / "specs" / name).mkdir()
        for path in (client.checkout.root / "specs" / name).iterdir():
            shutil.copy(path, other.checkout.root / "specs" / name)
        for path in client.checkout.root.glob("specs/mini-data/*.spec"):
            shutil.copy(path, other.checkout.root / "specs" / "mini-data")
        other.checkout.run("build", "mini-suite", "mini", "libmini", name)
        assert client.digests() == other.digests()


def test_beside_builds_here(trio: Cluster, client: Client) -> None:
    client.anew(uuid.uuid4().hex)
    before = trio.executed()
    client.checkout.run("build", *client.options, "--local-jobs", "1")
    assert trio.executed() - before < 5


def test_a_build_that_fails(client: Client) -> None:
    """One error with the last lines of the log, once: that a package does not build is final."""
    client.checkout.edit("mini-data", "%install\n", "%install\necho no such luck; exit 3\n")
    said = client.build("mini-data", code=6)
    assert "mini-data does not build" in said and "no such luck" in said and "tried again" not in said


def test_a_build_that_says_nothing(client: Client) -> None:
    """The worker's own watch stops it: an engine shows no output while a build runs."""
    client.checkout.edit("mini-data", "%install\n", f"%install\n# {uuid.uuid4()}\nsleep 600\n")
    (client.checkout.root / "user.yaml").write_text("limits: {silent_minutes: 0.1}\n", encoding="utf-8")
    assert "printed nothing for 6 s" in client.build("mini-data", code=6)


def test_real_packages(session: Session, trio: Cluster, tmp_path: Path) -> None:
    """The cheapest specs of the distribution with all they need: the same key, and then the same bytes."""
    names = cheapest(session, REAL)
    checkout = fresh_store(tmp_path / "store", session)
    checkout.run("build", *names, "--remote", trio.address)
    theirs = digests(checkout.store)
    assert len({name.split("/")[0] for name in theirs}) >= REAL
    checkout.run_plain("build", *names, "--root", str(checkout.root), "--config", str(checkout.settings))
    ours = digests(session.store.root)
    assert {name: ours.get(name) for name in theirs} == theirs
    shutil.rmtree(checkout.store)


@pytest.fixture
def plain(trio: Cluster) -> Iterator[Engine]:
    with engine(endpoint(trio.address)) as found:
        yield found


def test_a_thousand_actions_that_do_nothing(plain: Engine) -> None:
    """All are done, each once; how long one takes beside what it does is the engine's and ours."""
    marker = uuid.uuid4().hex

    def run(number: int) -> Result:
        wanted = action(
            ["/usr/bin/env", "true"],
            {},
            environment={"PATH": "/usr/bin:/bin", "NUMBER": f"{marker} {number}"},
            outputs=[],
            platform={},
            seconds=60,
        )
        return plain.actions.run(wanted, priority=0.0, keep=succeeded)

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        results = list(pool.map(run, range(NOTHING)))
    assert {result.code for result in results} == {0} and len({result.worker for result in results}) == 3


def succeeded(result: Result) -> None:
    if result.code:
        raise Again(f"exit code {result.code}")
