"""What the tests of tdnf share: a root of our own packages with tdnf in it, packages, a key, a server, a host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from photonbuild.log import Reporter
from photonbuild.packages.built import tree_of
from photonbuild.packages.graph import wanted_specs
from photonbuild.packages.solve import solve
from photonbuild.pipeline.build import build_packages, repository
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.integration.conftest import PROJECT, STORE
from tests.support.faulty_web import Web, web
from tests.support.https import loopback_certificate
from tests.support.tdnf_lab import Host, Key, Made, make_packages, publish

MACROS = sorted((PROJECT / "build" / "macros").glob("macros.*"))
PROGRAMS = ("bash", "ca-certificates", "coreutils", "curl", "filesystem", "gcc-libs", "glibc", "tdnf")
OWN_FILE = "mkdir -p %{buildroot}/usr/share/base; echo x > %{buildroot}/usr/share/base/version"
# A test that kills tdnf has time for it while there is a file /wait or /slow.
WAITS = """%post -p <lua>
if posix.stat("/wait") then posix.sleep(60) end
if posix.stat("/slow") then posix.sleep(1) end
io.open("/usr/share/lib.done", "w"):close()
"""
# Its script leaves no byte of the disk while there is a file /fill.
FILLS = """%post -p <lua>
if posix.stat("/fill") then
    local file = io.open("/usr/share/full", "w")
    repeat until not (file:write(string.rep("x", 4096)) and file:flush())
    file:close()
end
"""
PACKAGES = {
    "base": Made(name="base"),
    "lib": Made(name="lib", tags="Provides: lib(api) = 1"),
    "lib2": Made(name="lib", version="2", tags="Provides: lib(api) = 2"),
    "app": Made(name="app", tags="Requires: lib"),
    "app2": Made(name="app", version="2", tags="Requires: lib >= 2"),
    "late": Made(name="late", version="2", epoch=1),
    "lonely": Made(name="lonely", tags="Requires: nowhere"),
    "deep": Made(name="deep", tags="Requires: /usr/share/app/version"),
    "clash": Made(name="clash", install=OWN_FILE, files="/usr/share/base"),
    "renamed": Made(name="renamed", tags="Obsoletes: base < 2\nProvides: base = 2"),
    "big": Made(name="big", install="head -c 400000 /dev/urandom > %{buildroot}/usr/share/big/data"),
    "huge": Made(name="huge", install="head -c 64000000 /dev/zero > %{buildroot}/usr/share/huge/data"),
    "filler": Made(name="filler", scripts=FILLS),
    "after": Made(
        name="after",
        tags="Requires(pre): filler",
        install="head -c 400000 /dev/urandom > %{buildroot}/usr/share/after/data",
    ),
    "lib3": Made(name="lib", version="3", scripts=WAITS),
    "app3": Made(name="app", version="3", tags="Requires: lib >= 3", scripts=WAITS),
    # Side by side: no file of one is another's.
    **{f"kernel{n}": Made(name="kernel", version=str(n), folder=f"kernel-{n}") for n in (1, 2, 3)},
}


@dataclass
class Lab:
    """One test's host, a server with the repository `main`, and all packages, signed."""

    host: Host
    web: Web
    key: Key
    packages: Path
    unsigned: Path

    @property
    def repository(self) -> Path:
        return self.web.folder / "main"

    @property
    def url(self) -> str:
        return f"{self.web.url}/main"

    def file(self, name: str) -> Path:
        return self.packages / PACKAGES[name].file

    def publish(self, *names: str, revision: int | None = None, updateinfo: str | None = None) -> None:
        files = [self.file(name) for name in names]
        publish(self.repository, files, self.key, revision=revision, updateinfo=updateinfo)

    def start(self, *names: str) -> None:
        """Publish, and have the key accepted."""
        self.publish(*names)
        self.host.repo("main", self.url, key=self.key)
        self.host.run("-y", "-q", "makecache")


@pytest.fixture(scope="session")
def layers() -> Sequence[Path]:
    """tdnf of this checkout, and all that it needs, from packages of ours alone."""
    session = Session(config=load_config(PROJECT), store=Store.open(STORE), reporter=Reporter())
    done = build_packages(session, wanted_specs(session.graph, PROGRAMS, where="tests of tdnf"))
    packages = {package.nevra: package for built in done.values() for package in built.packages}
    with repository(session, done) as repo:
        chosen = solve(repo, packages, PROGRAMS, arch=session.config.distribution.arch)
    return [tree_of(package) for package in chosen]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Key]:
    """Unsigned packages, signed ones, and the key."""
    session = Session(config=load_config(PROJECT), store=Store.open(STORE), reporter=Reporter())
    work = tmp_path_factory.mktemp("packages")
    unsigned = make_packages(session.seed.root, work / "build", list(PACKAGES.values()), MACROS)
    key = Key.new(work / "gnupg")
    signed = work / "signed"
    signed.mkdir()
    for path in unsigned.iterdir():
        key.sign_rpm(path, signed / path.name)
    return unsigned, signed, key


@pytest.fixture
def lab(layers: Sequence[Path], made: tuple[Path, Path, Key], tmp_path: Path) -> Iterator[Lab]:
    unsigned, signed, key = made
    (tmp_path / "www").mkdir()
    with web(tmp_path / "www") as served:
        yield Lab(host=Host(layers, tmp_path / "host"), web=served, key=key, packages=signed, unsigned=unsigned)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of its own authority for this machine's loopback, with its key."""
    session = Session(config=load_config(PROJECT), store=Store.open(STORE), reporter=Reporter())
    return loopback_certificate(session.seed.root, tmp_path / "certificate")


@pytest.fixture
def later_certificate(tmp_path: Path) -> Path:
    """As `certificate`, not valid yet."""
    session = Session(config=load_config(PROJECT), store=Store.open(STORE), reporter=Reporter())
    dates = ("-not_before", "20400101000000Z", "-not_after", "20500101000000Z")
    return loopback_certificate(session.seed.root, tmp_path / "later", dates)
