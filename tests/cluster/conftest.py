"""Buildbarn on this machine, and checkouts of the small distribution that are its clients."""

from __future__ import annotations

import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.files import sha256_of
from photonbuild.log import Reporter
from photonbuild.pipeline.session import Session
from photonbuild.seeds.archive import archive
from photonbuild.store import Store
from tests.integration.conftest import Checkout, make_checkout
from tests.support.buildbarn import buildbarn
from tests.support.cluster import Cluster, cluster

ROOT = Path(__file__).parents[2]
# Seconds of a core that a build takes on a worker besides: inputs out, results home, see docs/performance.md.
OVERHEAD = 1.0
WITHIN = 0.15  # by no more an estimate and a run differ

SLOW = """\
Name:           mini-slow
Version:        1.0
Release:        1%{?dist}
Summary:        Takes its time, NUMBER
License:        Apache-2.0
BuildArch:      noarch

%description
Takes its time.

%build
sleep SECONDS
echo NUMBER >slow.txt

%install
install -Dpm 644 slow.txt %{buildroot}%{_datadir}/mini/slow.txt

%files
%{_datadir}/mini
"""


@pytest.fixture(scope="session")
def session(configuration: Config, store: Store) -> Session:
    return Session(config=configuration, store=store, reporter=Reporter())


@pytest.fixture(scope="session")
def programs(session: Session) -> Path:
    """Buildbarn; and the seed's archive, which takes seconds, is there before a test measures any."""
    archive(session.store, session.seed, session.seed, epoch=session.config.distribution.source_date_epoch)
    return buildbarn(session)


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """Where clusters live: in memory where there is some, by PHOTONBUILD_TMPFS or in /dev/shm."""
    memory = Path(os.environ.get("PHOTONBUILD_TMPFS") or "/dev/shm")
    with tempfile.TemporaryDirectory(prefix="photonbuild-", dir=memory if memory.is_dir() else None) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def trio(programs: Path, place: Path) -> Iterator[Cluster]:
    """Storage, scheduler and three workers that run as long as the tests do."""
    with cluster(programs, place / "trio") as made:
        made.start_storage()
        made.start_scheduler()
        for name in ("ada", "bob"):
            made.start_worker(name)
        made.start_worker("cyd", ordinary=True)
        yield made


@dataclass(frozen=True)
class Client:
    """A checkout of the small distribution with a store of its own, and the options that name its engine."""

    checkout: Checkout
    address: str

    @property
    def options(self) -> list[str]:
        return ["--remote", self.address, "-v"]

    def build(self, *names: str, code: int = 0) -> str:
        """Build there; what was said on standard error."""
        return self.checkout.run("build", *names, *self.options, code=code).stderr

    def slow(self, seconds: float) -> str:
        """Another spec, which takes so long and which nobody has built before; its name."""
        folder = self.checkout.root / "specs" / "mini-slow"
        folder.mkdir(exist_ok=True)
        text = SLOW.replace("SECONDS", str(seconds)).replace("NUMBER", uuid.uuid4().hex)
        (folder / "mini-slow.spec").write_text(text, encoding="utf-8")
        return "mini-slow"

    def anew(self, number: str) -> None:
        """Change what all other specs need: nobody has built any of them, unless with the same number."""
        for name, old in (("libmini", "A shared library for tests"), ("mini-data", "Data for tests")):
            self.checkout.edit(name, old, f"{old} {number}")

    def digests(self) -> dict[str, str]:
        return digests(self.checkout.store)


@pytest.fixture(scope="session")
def cheap(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--cheapest"))


def cheapest(session: Session, count: int, among: Iterable[str] | None = None) -> list[str]:
    """As many specs, of these or of all, that take the least CPU seconds, each with all it needs."""
    cost = {name: session.costs[name].cpu_seconds for name in session.specs}
    total = {name: sum(cost[other] for other in session.graph.closure([name])) for name in among or session.specs}
    return sorted(total, key=lambda name: (total[name], name))[:count]


def packages_seconds(said: str) -> float:
    """What the builds of a command took, by what it said with -v."""
    found = re.search(r"^packages: ([0-9.]+) s$", said, re.MULTILINE)
    assert found, said
    return float(found[1])


def estimated(checkout: Checkout, names: list[str], workers: int) -> float:
    """Seconds that so many workers on the cores of this machine would take, by what was measured in this store."""
    cores = os.cpu_count() or 1
    each = ["--worker-cores", str(max(1, cores // workers)), "--shared-cores", str(cores), "--overhead", str(OVERHEAD)]
    said = checkout.run("plan", *names, "--cold", "--workers", str(workers), *each, "--json").stdout
    return float(json.loads(said)["workers"][0]["seconds"])


def fresh_store(folder: Path, session: Session) -> Checkout:
    """This checkout over a new store with the seeds, sources and parsed specs of the real one, and no package.

    Its user has no settings.
    """
    folder.mkdir()
    for shared in ("seeds", "sources", "specs"):
        (folder / shared).symlink_to(session.store.root / shared)
    (folder / "user.yaml").write_text("{}\n", encoding="utf-8")
    return Checkout(root=ROOT, store=folder, settings=folder / "user.yaml")


def digests(store: Path) -> dict[str, str]:
    """SHA-256 of each package, source package and file of a tree by its path in the folder packages/."""
    packages = store / "packages"
    files = [path for kind in ("rpms", "srpms", "trees") for path in packages.glob(f"*/*/{kind}/**/*")]
    return {str(p.relative_to(packages)): sha256_of(p) for p in files if p.is_file() and not p.is_symlink()}


@pytest.fixture
def client(trio: Cluster, tmp_path: Path, seeded_store: Path) -> Client:
    return Client(make_checkout(tmp_path / "client", seeded_store), trio.address)


@pytest.fixture
def other(trio: Cluster, tmp_path: Path, seeded_store: Path) -> Client:
    """A second client of the same engine."""
    return Client(make_checkout(tmp_path / "other", seeded_store), trio.address)


@pytest.fixture(scope="session")
def seeded_store(store: Store, session: Session) -> Path:
    assert session.seed.root.is_dir()
    return store.root
