"""Publishing to real storage: a folder, sshd with rsync, MinIO. Publishers are killed, and two run at once."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from photonbuild.errors import SourceError, StoreError
from photonbuild.log import Reporter
from photonbuild.machines.ssh import free_port
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.session import Session
from photonbuild.publication.publish import publish
from photonbuild.publication.tree import read_tree
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.sources import certificates
from photonbuild.sources.mirrors import download, is_served
from photonbuild.storage import lease
from photonbuild.storage.address import open_storage
from photonbuild.storage.interface import Storage
from photonbuild.storage.web import Web
from photonbuild.store import Store
from tests.integration.conftest import PROJECT
from tests.support import serving
from tests.support.https import loopback_certificate
from tests.support.killing import NEW, kill_publishers, trees
from tests.support.minio import bucket
from tests.support.publications import LAYOUT, missing, seen
from tests.support.roots import root_of

pytestmark = pytest.mark.integration

SSHD = """\
HostKey /ssh/host
AuthorizedKeysFile /ssh/user.pub
PermitRootLogin yes
StrictModes no
UsePAM no
ListenAddress 127.0.0.1
PidFile none
"""
SSH = """\
Host *
  User root
  IdentityFile {folder}/user
  IdentitiesOnly yes
  StrictHostKeyChecking accept-new
  UserKnownHostsFile {folder}/known
  ControlMaster auto
  ControlPath {folder}/%C
  ControlPersist 60
"""
RSYNC = """\
#!/bin/sh
exec {root}/lib64/ld-linux-x86-64.so.2 --library-path {root}/usr/lib/x86_64-linux-gnu {root}/usr/bin/rsync "$@"
"""


@dataclass(frozen=True)
class Place:
    """Where publications can be tried. `base`: the start of their addresses; `kills`: how often one is interrupted."""

    base: str
    kills: int


@pytest.fixture(scope="module")
def session(seeded_store: Path) -> Session:
    return Session(config=load_config(PROJECT), store=Store.open(seeded_store), reporter=Reporter())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(str(tmp_path_factory.mktemp("published")), kills=30)


@pytest.fixture(scope="module")
def ssh(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """sshd of Debian in a root of its own; the client is the host's ssh, with Debian's rsync."""
    work, root, port = tmp_path_factory.mktemp("ssh"), root_of(session.config, session.store, "clients"), free_port()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / name)], check=True)
    (work / "sshd_config").write_text(SSHD)
    (work / "config").write_text(SSH.format(folder=work))
    (work / "bin").mkdir()
    (work / "bin" / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {work}/config "$@"\n')
    (work / "bin" / "rsync").write_text(RSYNC.format(root=root))
    for path in (work / "bin").iterdir():
        path.chmod(0o755)
    (data := work / "data").mkdir()
    sandbox = Sandbox(
        layers=[root],
        scratch=session.store.scratch,
        binds=[Bind(work, "/ssh"), Bind(data, "/data", readonly=False, links=True)],
        network=True,
    )
    log = (work / "log").open("wb")
    command = f"mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e -f /ssh/sshd_config -p {port}"
    process = sandbox.popen(["sh", "-c", command], stdout=log, stderr=log)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{work}/bin:{before}"
    try:
        serving.wait_for_port(port)
        yield Place(f"ssh://root@127.0.0.1:{port}/data", kills=6)
    finally:
        os.environ["PATH"] = before
        process.kill()
        log.close()


@pytest.fixture(scope="module")
def s3(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with bucket(session, tmp_path_factory.mktemp("minio")) as address:
        yield Place(address, kills=6)


NUMBERS = itertools.count()


@pytest.fixture(params=["folder", "ssh", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def fresh(place: Place) -> tuple[str, Storage]:
    """A new address, and what is there."""
    target = f"{place.base}/{next(NUMBERS)}"
    return target, open_storage(target, {})


def test_publish(place: Place, tmp_path: Path) -> None:
    old, new = trees(tmp_path)
    _, storage = fresh(place)
    first = publish(read_tree(old, LAYOUT), storage, snapshot="first")
    assert (first.there, len(first.changed)) == (0, 3) and missing(storage, tmp_path) == []
    assert publish(read_tree(old, LAYOUT), storage, snapshot="first").sent == 0
    publish(read_tree(new, LAYOUT), storage)
    assert seen(storage, tmp_path)[0] == NEW
    assert missing(storage, tmp_path, "first") == []
    sizes = storage.sizes("1.0/packages")
    listed = {path for path in sizes if path.endswith("app-1.0-1.x86_64.rpm")}
    storage.remove(listed)
    assert listed and storage.sizes("1.0/packages").keys() == sizes.keys() - listed


@pytest.mark.long
@pytest.mark.parametrize("place", ["folder", "ssh", "s3"], indirect=True)
def test_kill_a_publisher_at_any_moment(place: Place, tmp_path: Path) -> None:
    kill_publishers(lambda: fresh(place), tmp_path, kills=place.kills, seed=12)


def test_two_publishers_exclude_each_other(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW", 0.5)
    monkeypatch.setattr(lease, "PAUSE", 0.2)
    old, _ = trees(tmp_path)
    target, storage = fresh(place)
    with storage.lock(), pytest.raises(StoreError, match="another publisher is at work"):
        publish(read_tree(old, LAYOUT), open_storage(target, {}))
    publish(read_tree(old, LAYOUT), open_storage(target, {}))
    assert missing(storage, tmp_path) == []


def test_a_web_server_is_judged_by_the_authorities_of_the_host(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    both = loopback_certificate(session.seed.root, tmp_path / "certificate")
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "file").write_bytes(b"content")
    for name in certificates.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    with serving.served(serving.folder(tmp_path / "www"), certificate=both) as port:
        url = f"https://127.0.0.1:{port}"
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            Web(url).read("file")
        with pytest.raises(SourceError, match="SSLError"):
            download(f"{url}/file", tmp_path / "got")
        assert not is_served(f"{url}/file")
        for name in certificates.SETTINGS:
            with monkeypatch.context() as set_by_the_user:
                set_by_the_user.setenv(name, str(both.with_name("certificate.pem")))
                assert Web(url).read("file") == b"content"
                download(f"{url}/file", tmp_path / "got")
                assert (tmp_path / "got").read_bytes() == b"content" and is_served(f"{url}/file")
