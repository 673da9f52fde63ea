"""The installer's packages by the real tdnf: in a root of our own packages, from files and from web servers."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from photonbuild.errors import PhotonbuildError
from photonbuild.files import sha256_of
from photonbuild.installer.errors import FetchError, PackageError
from photonbuild.installer.fetch import signatures, tdnf
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.source import parse_source
from photonbuild.installer.machine import packages
from photonbuild.installer.machine.packages import fetch_packages, installed_packages
from photonbuild.run import Completed
from photonbuild.sandbox.sandbox import Bind, Sandbox
from tests.integration.tdnf_fixtures import Lab, certificate, lab, layers, made
from tests.support import serving
from tests.support.faulty_web import web
from tests.support.installer import kickstart, paths
from tests.support.tdnf_lab import Key, publish

__all__ = ["certificate", "lab", "layers", "made"]

DATABASE = "/usr/lib/sysimage/rpm"


@dataclass
class Live:
    """A live system: the root with tdnf, a database of rpm that stays, a medium; and the installer's work folder."""

    lab: Lab
    folder: Path
    ran: list[Sequence[str]] = field(default_factory=list)

    def run(
        self, argv: Sequence[str | Path], *, check: bool = True, error: type[PhotonbuildError] = PhotonbuildError
    ) -> Completed:
        """As `photonbuild.run.run`, inside."""
        words = [str(word) for word in argv]
        self.ran.append(words)
        binds = [
            Bind(self.folder, str(self.folder), readonly=False, links=True),
            Bind(self.folder / "rpm", DATABASE, readonly=False, links=True),
            # What tdnf of the live system reads: it would be refused.
            Bind(self.folder / "broken.repo", "/etc/yum.repos.d/broken.repo"),
        ]
        sandbox = Sandbox(layers=self.lab.host.layers, scratch=self.folder / "scratch", binds=binds, network=True)
        return sandbox.run(words, check=check, error=error, timeout=120)

    def has(self, *names: str) -> None:
        """Install these packages of the lab, without what they require."""
        for name in names:
            shutil.copy(self.lab.unsigned / self.lab.file(name).name, self.folder)
            self.run(["rpm", "--install", "--nodeps", f"{self.folder}/{self.lab.file(name).name}"])

    def database(self) -> dict[str, str]:
        """Digests of rpm's files, without SQLite's shared memory, which readers write as well."""
        files = (self.folder / "rpm").iterdir()
        return {path.name: sha256_of(path) for path in files if not path.name.endswith("-shm")}

    def fetch(self, baseurl: str, *names: str, fetcher: Fetcher | None = None, **more: object) -> list[str]:
        """What an installation adds for these packages, by name and version of the files, without the end."""
        shutil.rmtree(self.folder / "run/work", ignore_errors=True)
        wanted = kickstart(packages=list(names), repos={"own": {"baseurl": baseurl, **more}} if baseurl else {})
        with fetcher or self.fetcher() as one:
            files = fetch_packages(wanted, one, frozenset())
        assert all(path.is_file() for path in files)
        return [path.name.removesuffix("-1.noarch.rpm") for path in files]

    def fetcher(self, *, insecure: bool = True, proxy: str = "") -> Fetcher:
        return Fetcher(paths=paths(self.folder), insecure=insecure, proxy=proxy, pause=0)

    def refused(
        self,
        kind: type[PhotonbuildError],
        baseurl: str,
        *names: str,
        fetcher: Fetcher | None = None,
        **more: object,
    ) -> str:
        """What is said: message, where, detail and hint."""
        with pytest.raises(kind) as caught:
            self.fetch(baseurl, *names, fetcher=fetcher, **more)
        error = caught.value
        assert error.where
        return f"{error}\n{error.detail or ''}\nhint: {error.hint}"


@pytest.fixture
def live(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    made = Live(lab, tmp_path / "live")
    for name in ("scratch", "rpm", "medium"):
        (made.folder / name).mkdir(parents=True)
    (made.folder / "broken.repo").write_text("[broken\n", encoding="utf-8")
    monkeypatch.setattr(tdnf, "run", made.run)
    monkeypatch.setattr(packages, "run", made.run)
    monkeypatch.setattr(signatures, "run", made.run)
    made.run(["rpm", "--initdb"])
    return made


def test_the_newest_that_fits_with_what_it_requires(live: Live) -> None:
    live.lab.publish("app", "lib", "app2", "lib2", "base", "deep")
    url = live.lab.url
    assert live.fetch(url, "app") == ["app-2", "lib-2"]
    for version in ("1", "1-1", "0:1", "0:1-1"):
        assert live.fetch(url, f"app={version}") == ["app-1", "lib-2"]
    assert live.fetch(url, "deep") == ["app-2", "deep-1", "lib-2"], "a file of the long list only"
    assert live.fetch(url, "app", "base") == ["app-2", "base-1", "lib-2"]


def test_what_the_system_has_stays_as_it_is(live: Live) -> None:
    live.lab.publish("app", "app2", "lib2", "base")
    live.has("lib")
    before = live.database()
    assert installed_packages() == {"lib": {"1", "1-1", "0:1", "0:1-1"}}
    assert live.fetch(live.lab.url, "app", "lib", "lib=1") == ["app-1"], "app 2 would replace lib"
    said = live.refused(PackageError, live.lab.url, "app=2")
    assert "the packages do not fit together" in said and "lib >= 2" in said and "--" not in said
    assert live.fetch(live.lab.url, "lib=2") == ["lib-2"], "rpm is to judge this"
    assert live.fetch(live.lab.url, "lib") == []
    assert live.database() == before


def test_versions_with_an_epoch(live: Live) -> None:
    live.lab.publish("late")
    for version in ("2", "2-1", "1:2", "1:2-1"):
        assert live.fetch(live.lab.url, f"late={version}") == ["late-2"], version
    assert "there is no 'late' of version 2:2 (there are: late-1:2-1)" in live.refused(
        PackageError, live.lab.url, "late=2:2"
    )


def test_signatures_where_they_are_asked_for(live: Live) -> None:
    """By the keys that the kickstart names, whatever the medium's own system trusts."""
    live.lab.publish("app", "lib", "late")
    url, folder = live.lab.url, live.folder / "medium"
    (folder / "own.asc").write_bytes(live.lab.key.public)
    (folder / "other.asc").write_bytes(Key.new(live.folder / "other", "Other").public)
    (folder / "no-key.asc").write_text("none\n")
    both = f"{folder}/other.asc {folder}/own.asc"
    assert live.fetch(url, "app", "late", gpgcheck=1, gpgkey=both) == ["app-1", "late-2", "lib-1"]
    said = live.refused(FetchError, url, "app", gpgcheck=1, gpgkey=f"{folder}/other.asc")
    assert said.startswith("repos.own: 2 packages are not signed by a key that 'gpgkey' names\napp-1-1.noarch.rpm: not")
    assert live.fetch(url, "app", gpgcheck=0, gpgkey=f"{folder}/other.asc") == ["app-1", "lib-1"]
    said = live.refused(FetchError, url, "late", gpgcheck=1)
    assert "with 'gpgcheck' the key has to be named" in said
    assert "no-key.asc" in live.refused(FetchError, url, "late", gpgcheck=1, gpgkey=f"{folder}/no-key.asc")
    shutil.copy(live.lab.unsigned / live.lab.file("late").name, live.lab.repository)
    publish(live.lab.repository, [], live.lab.key)
    said = live.refused(FetchError, url, "late", gpgcheck=1, gpgkey=both)
    assert "late-2-1.noarch.rpm: not signed" in said


def test_packages_that_are_not_to_be_had(live: Live) -> None:
    live.lab.publish("app", "lib", "lonely")
    url = live.lab.url
    said = live.refused(PackageError, url, "appp", "lib=7", "base")
    assert "no repository has 'appp', did you mean 'app'" in said
    assert "there is no 'lib' of version 7 (there are: lib-1-1)" in said and "no repository has 'base'" in said
    said = live.refused(PackageError, url, "lonely")
    assert "nothing provides nowhere needed by lonely-1-1.noarch" in said and "hint: None" in said


def test_a_repository_without_packages(live: Live) -> None:
    live.lab.publish()
    assert "no repository has 'app'" in live.refused(PackageError, live.lab.url, "app")


def test_folders_and_the_medium_itself(live: Live) -> None:
    """Both are named as the kickstart names them."""
    shared = live.folder / "a folder, of 100% & more"
    publish(shared, [live.lab.file("app")], None)
    publish(live.folder / "medium/packages", [live.lab.file("lib"), live.lab.file("base")], None)
    assert live.fetch("", "base") == ["base-1"]
    said = live.refused(PackageError, "", "app")
    assert "no repository has 'app'" in said and "hint: name a repository that has it under 'repos'" in said
    shutil.move(shared, live.folder / "medium/a,b%20c")
    assert live.fetch("cdrom:/a,b%20c/", "app") == ["app-1", "lib-1"]
    damaged = live.folder / "medium/a,b%20c/app-1-1.noarch.rpm"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    said = live.refused(FetchError, "cdrom:/a,b%20c", "app")
    assert said.startswith("cdrom:/a,b%20c/app-1-1.noarch.rpm: what was downloaded has not the digest"), said
    assert "hint: the repository was changed or damaged" in said
    assert "cdrom:/none/repodata/repomd.xml: no such file" in live.refused(FetchError, "cdrom:/none", "app")


def test_metadata_that_are_damaged(live: Live) -> None:
    live.lab.publish("app", "lib")
    index = live.lab.repository / "repodata/repomd.xml"
    good = index.read_bytes()
    for text, message in (
        (b"<a", "repomd.xml cannot be read"),
        (b"", "repomd.xml"),
        (good.replace(b'href="repodata/', b'href="../'), "has no location in the repository"),
        (good.replace(b'type="primary"', b'type="none"'), "names no list of packages"),
        (good.replace(b'"sha256"', b'"md5"'), "invalid checksum length for md5"),
    ):
        index.write_bytes(text)
        assert message in live.refused(FetchError, live.lab.url, "app"), text
    index.write_bytes(good)
    live.lab.web.changed.add("primary.xml.gz")
    said = live.refused(FetchError, live.lab.url, "app")
    assert f"{live.lab.url}/repodata/" in said and "has not the digest" in said


def test_servers_that_do_not_answer(live: Live) -> None:
    live.lab.publish("app", "lib")
    assert "networkctl" in (said := live.refused(FetchError, "http://127.0.0.1:9/r", "app")), said
    assert said.startswith("http://127.0.0.1:9/r/repodata/repomd.xml: cannot be downloaded"), said
    assert sum(words[0] == "tdnf" for words in live.ran) == 5, "tries"
    said = live.refused(FetchError, f"{live.lab.web.url}/none", "app")
    assert "404" in said and "hint: 'baseurl' under 'repos' names the folder" in said
    assert "http is refused" in live.refused(FetchError, live.lab.url, "app", fetcher=live.fetcher(insecure=False))
    live.lab.web.missing.add("app-1-1.noarch.rpm")
    assert f"{live.lab.url}/app-1-1.noarch.rpm: " in live.refused(FetchError, live.lab.url, "app")


def test_a_transfer_that_is_cut_goes_on(live: Live) -> None:
    live.lab.publish("big")
    live.lab.web.cut["big-1-1.noarch.rpm"] = 150000
    assert live.fetch(live.lab.url, "big") == ["big-1"]
    assert live.lab.web.ranges == ["/main/big-1-1.noarch.rpm bytes=150000-"]


def test_a_certificate_of_an_authority_that_is_named(live: Live, certificate: Path) -> None:
    live.lab.publish("app", "lib")
    authority = parse_source(f"file:{certificate.with_name('certificate.pem')}")
    with web(live.lab.web.folder, certificate) as served:
        url = f"{served.url}/main"
        said = live.refused(FetchError, url, "app", fetcher=live.fetcher(insecure=False))
        assert "certificate" in said and "hint: name its authority with installer.ca=" in said
        fetcher = live.fetcher(insecure=False)
        fetcher.trust(authority)
        assert live.fetch(url, "app", fetcher=fetcher) == ["app-1", "lib-1"]


@contextlib.contextmanager
def leading_to(url: str, certificate: Path) -> Iterator[str]:
    """A server over TLS that leads to another one, until the block ends; its own address."""

    class Away(serving.Quiet):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", url + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving.served(Away, certificate=certificate) as port:
        yield f"https://127.0.0.1:{port}"


def test_no_redirect_to_something_weaker(live: Live, certificate: Path) -> None:
    live.lab.publish("app", "lib")
    authority = parse_source(f"file:{certificate.with_name('certificate.pem')}")
    with web(live.lab.web.folder, certificate) as served, leading_to(live.lab.web.url, certificate) as weaker:
        fetcher = live.fetcher()
        fetcher.trust(authority)
        said = live.refused(FetchError, f"{weaker}/main", "app", fetcher=fetcher)
        assert f"{weaker}/main/repodata/repomd.xml" in said and "must stay at https" in said, said
        with leading_to(served.url, certificate) as same:
            fetcher = live.fetcher()
            fetcher.trust(authority)
            assert live.fetch(f"{same}/main", "app", fetcher=fetcher) == ["app-1", "lib-1"]


def test_a_password_and_a_proxy(live: Live) -> None:
    """They stand in a file of its owner's alone, and in no argument and no message."""
    live.lab.publish("app", "lib")
    live.lab.web.password = "Basic dTphQCwkeA=="  # u:a@,$x
    host = live.lab.url.removeprefix("http://")
    assert live.fetch(f"http://u:a%40,%24x@{host}", "app") == ["app-1", "lib-1"]
    assert (live.folder / "run/work/tdnf/repos/own.repo").stat().st_mode & 0o777 == 0o600
    said = live.refused(FetchError, f"http://u:s3cr3t@{host}", "app")
    assert "401" in said and "hint: user and password stand in 'baseurl'" in said
    assert "s3cr3t" not in said and "s3cr3t" not in str(live.ran)
    asked: list[tuple[str, str | None]] = []

    class Proxy(serving.Quiet):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Proxy-Authorization")))
            self.send_error(404)

    with serving.served(Proxy) as port:
        proxied = live.fetcher(proxy=f"http://p:q%24x@127.0.0.1:{port}")
        live.refused(FetchError, "http://h.example/r", "app", fetcher=proxied)
    assert asked == [("http://h.example/r/repodata/repomd.xml", "Basic cDpxJHg=")]
