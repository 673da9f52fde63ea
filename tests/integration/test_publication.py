"""From specs to clients: packages are signed and published; Debian's dnf installs them, and refuses what it should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from photonbuild.files import sha256_of
from photonbuild.pipeline.configuration import load_config
from photonbuild.publication.repository import need_repository
from photonbuild.storage.folder import Folder
from photonbuild.store import Store
from tests.integration.conftest import PROJECT, STORE, Checkout, make_checkout
from tests.integration.tdnf_fixtures import layers
from tests.support.dnf import Dnf, served
from tests.support.roots import root_of
from tests.support.tdnf_lab import Host, Key
from tests.support.token import Token

__all__ = ["layers"]

pytestmark = pytest.mark.integration

ADVISORY = """\
id: MINI-2026-0001
severity: important
title: a wrong answer
description: The answer was another one.
issued: "2026-11-20"
cves: [CVE-2026-12345]
packages:
  mini-data: 1.0-2.phos1
"""
KEY_FILE = "RPM-GPG-KEY-phos"
DATA = "Packages/*/mini-data-1.0-1.phos1.noarch.rpm"


@pytest.fixture(scope="session")
def clients(seeded_store: Path) -> Path:
    return root_of(load_config(PROJECT), Store.open(seeded_store), "clients")


@pytest.fixture
def dnf(clients: Path, tmp_path: Path) -> Dnf:
    return Dnf(clients, Store.open(STORE).scratch, tmp_path / "dnf")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, seeded_store: Path) -> Path:
    """A checkout, a store, a key and a publication, of which each test has a copy."""
    folder = tmp_path_factory.mktemp("made")
    checkout = make_checkout(folder, seeded_store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
        checkout.run("key", "new", "release", "--user", "Mini", "--email", "release@mini.invalid")
        checkout.run("repo", "sign", "--key", "release")
        checkout.run("repo", "publish", str(folder / "published"))
    return folder


@pytest.fixture
def published(made: Path, checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A publication of the small distribution, signed by a key of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    for folder in (checkout.root, checkout.store):
        shutil.rmtree(folder)
    for name in ("home", "checkout", "store", "published"):
        shutil.copytree(made / name, tmp_path / name, symlinks=True)
    return tmp_path / "published"


@pytest.fixture
def url(published: Path) -> Iterator[str]:
    with served(published) as address:
        yield address


def repository(published: Path) -> Path:
    return published / "1.0" / "packages" / "x86_64"


def test_keys(checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    words = ("key", "new", "release", "--user", "Mini", "--email", "release@mini.invalid", "--expires", "1y")
    fingerprint = checkout.run(*words).stdout.strip()
    folder = tmp_path / "home" / "photonbuild" / "keys"
    assert folder.stat().st_mode & 0o777 == 0o700 and (folder / "release.asc").stat().st_mode & 0o777 == 0o600
    shown = checkout.run("key", "show").stdout
    assert fingerprint in shown and "Mini <release@mini.invalid>" in shown and "expires 20" in shown
    public = checkout.run("key", "export", "release").stdout
    assert public.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----") and "PRIVATE" not in public
    assert "there is a key of this name" in checkout.run(*words, code=2).stderr
    assert "did you mean" in checkout.run("repo", "sign", "--key", "relaese", code=2).stderr
    (folder / "release.asc").chmod(0o644)
    assert "chmod 600" in checkout.run("repo", "sign", "--key", "release", code=2).stderr
    assert not any(
        "PRIVATE KEY" in path.read_text(errors="replace") for path in (checkout.store / "logs").rglob("*.log")
    )


def test_the_development_key_is_not_published_unless_asked(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    assert "development key, which nobody is to trust" in checkout.run("repo", "sign", "mini-data").stderr
    assert "do not trust" in checkout.run("key", "show").stdout
    target = tmp_path / "published"
    assert "development key" in checkout.run("repo", "publish", str(target), code=2).stderr
    assert not target.exists()
    checkout.run("repo", "publish", str(target), "--development")
    assert "in order" in checkout.run("repo", "verify", str(target)).stdout


@pytest.mark.long
def test_a_key_of_gpg_agent_and_one_with_a_passphrase(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "gnupg"):
        (tmp_path / name).mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GNUPGHOME", str(tmp_path / "gnupg"))
    words, key = tmp_path / "words", tmp_path / "key.asc"
    for path, text in ((words, "open sesame\n"), (key, "")):
        path.write_text(text)
        path.chmod(0o600)
    gpg = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback"]
    try:
        made = ["--passphrase", "", "--quick-generate-key", "Agent <agent@mini.invalid>", "rsa3072", "sign", "1y"]
        subprocess.run([*gpg, *made], check=True, capture_output=True)
        listed = subprocess.run(
            [*gpg, "--with-colons", "--list-keys"], check=True, capture_output=True, text=True
        ).stdout
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        assert fingerprint in checkout.run("repo", "sign", "mini-data", "--key", f"agent:{fingerprint}").stderr
        checkout.run("repo", "publish", str(tmp_path / "published"))
        checkout.run("repo", "verify", str(tmp_path / "published"), "--key", f"agent:{fingerprint}")
        made = [f"--passphrase-file={words}", "--quick-generate-key", "Words <words@mini.invalid>", "rsa3072", "sign"]
        subprocess.run([*gpg, *made], check=True, capture_output=True)
        export = [f"--passphrase-file={words}", "--armor", "--export-secret-keys", "words@mini.invalid"]
        key.write_bytes(subprocess.run([*gpg, *export], check=True, capture_output=True).stdout)
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False)
    said = checkout.run("repo", "sign", "mini-data", "--key", str(key), code=2).stderr
    assert "hint: name the file that holds its passphrase" in said
    checkout.run("repo", "sign", "mini-data", "--key", str(key), "--passphrase-file", str(words))


def test_a_key_in_a_pkcs11_token(
    checkout: Checkout, clients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").mkdir()
    token = Token(clients, tmp_path / "token")
    monkeypatch.setenv("GNUPGHOME", str(token.home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    target = tmp_path / "published"
    try:
        key = f"agent:{token.make()}"
        checkout.run("repo", "sign", "mini-data", "--key", key)
        checkout.run("repo", "publish", str(target))
        assert "in order" in checkout.run("repo", "verify", str(target), "--key", key).stdout
        # What signs is the token: without it nothing does.
        shutil.rmtree(token.folder / "tokens")
        subprocess.run(["gpgconf", "--kill", "all"], check=True)
        checkout.edit("mini-data", "Release:        1", "Release:        2")
        checkout.run("repo", "sign", "mini-data", "--key", key, code=2)
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False)


@pytest.mark.long
def test_dnf_lists_advisories(checkout: Checkout, dnf: Dnf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    target = tmp_path / "published"
    with served(tmp_path) as address:
        checkout.run("repo", "sign", "mini-data")
        checkout.run("repo", "publish", str(target), "--development")
        url = f"{address}/published"
        assert dnf.run(url, "install", "mini-data").returncode == 0
        checkout.edit("mini-data", "Release:        1", "Release:        2")
        (folder := checkout.root / "build" / "advisories").mkdir()
        (folder / "MINI-2026-0001.yaml").write_text(ADVISORY)
        checkout.run("repo", "sign", "mini-data")
        before, after = tmp_path / "before", str(checkout.root / "stage" / "publication")
        shutil.copytree(target, before)
        checkout.run("repo", "publish", str(target), "--development")
        listed = dnf.run(url, "--refresh", "updateinfo", "list").stdout
        assert "MINI-2026-0001 Important/Sec. mini-data-1.0-2.phos1.noarch" in listed
        assert "CVE-2026-12345" in dnf.run(url, "updateinfo", "info").stdout
        assert dnf.run(url, "upgrade", "--security").returncode == 0
    assert [line.split()[0] for line in dnf.installed()] == ["mini-data-1.0-2.phos1.noarch"]
    said = checkout.run("repo", "diff", str(before), after).stdout
    assert "  > mini-data.noarch 1.0-1.phos1 -> 1.0-2.phos1\n" in said and "  advisory MINI-2026-0001\n" in said
    found = json.loads(checkout.run("repo", "diff", str(before), after, "--format", "json").stdout)
    assert found["packages"]["advisories"] == ["MINI-2026-0001"] and found["packages"]["changed"][0]["upgrade"]
    assert "1 advisories: in order" in checkout.run("repo", "verify", str(target)).stdout
    assert "2 superseded states" in checkout.run("repo", "gc", str(target), "--keep", "1").stderr
    assert "in order" in checkout.run("repo", "verify", str(target)).stdout


def test_dnf_installs_what_is_published(published: Path, url: str, dnf: Dnf, checkout: Checkout) -> None:
    assert (done := dnf.run(url, "makecache")).returncode == 0, done.stderr
    assert (done := dnf.run(url, "install", "mini-data")).returncode == 0, done.stderr
    (line,) = dnf.installed()
    assert line.startswith("mini-data-1.0-1.phos1.noarch RSA/SHA512")
    assert (dnf.kept / "root/usr/share/mini/answer.txt").read_text() == "42\n"
    assert "in order" in checkout.run("repo", "verify", url, "--key", "release").stdout


def test_the_same_packages_and_key_give_the_same_bytes(published: Path, checkout: Checkout) -> None:
    one = checkout.root / "stage" / "publication"
    digests = {path.relative_to(one): sha256_of(path) for path in one.rglob("*.rpm")}
    shutil.rmtree(one)
    shutil.rmtree(checkout.store / "signed")
    checkout.run("repo", "sign", "--key", "release")
    assert {path.relative_to(one): sha256_of(path) for path in one.rglob("*.rpm")} == digests
    unsigned = {sha256_of(path) for path in (checkout.root / "stage" / "repo").rglob("*.rpm")}
    assert digests and not unsigned & set(digests.values())


def test_dnf_upgrades_between_publications_and_pins_a_snapshot(
    published: Path, url: str, dnf: Dnf, checkout: Checkout
) -> None:
    checkout.run("repo", "publish", str(published), "--snapshot", "2026-11-20")
    dnf.run(url, "install", "mini-data")
    checkout.edit("mini-data", "Release:        1", "Release:        2")
    checkout.run("repo", "sign", "--key", "release")
    checkout.run("repo", "publish", str(published))
    assert dnf.run(url, "--refresh", "upgrade").returncode == 0
    assert dnf.installed()[0].startswith("mini-data-1.0-2.phos1.noarch")
    done = dnf.run(url, "--refresh", "distro-sync", release="1.0/2026-11-20")
    assert done.returncode == 0 and dnf.installed()[0].startswith("mini-data-1.0-1.phos1.noarch"), done.stderr


def release(checkout: Checkout, published: Path, number: int, *words: str) -> str:
    """Publish mini-data in another release; what `repo publish` says."""
    spec = checkout.spec("mini-data")
    text, count = re.subn(r"(?m)^(Release: +)\d+", rf"\g<1>{number}", spec.read_text())
    assert count == 1
    spec.write_text(text)
    checkout.run("repo", "sign", "--key", "release", *words)
    return checkout.run("repo", "publish", str(published)).stderr


def listed(published: Path) -> list[str]:
    found = need_repository(Folder(published), "1.0/packages/x86_64").packages
    return [package.nevra for package in found if package.name == "mini-data"]


def nevra(number: int) -> str:
    return f"mini-data-1.0-{number}.phos1.noarch"


@pytest.mark.long
def test_clients_go_back_to_what_stays_listed(
    published: Path, url: str, dnf: Dnf, layers: Sequence[Path], checkout: Checkout, tmp_path: Path
) -> None:
    over = ("--over", str(published), "--keep", "3")
    key = (published / KEY_FILE).read_bytes()
    host = Host(layers, tmp_path / "host")
    (host.work / "keys" / "release.asc").write_bytes(key)
    host.repo("phos", f"{url}/1.0/packages/x86_64", "gpgkey=file:///lab/keys/release.asc")
    host.run("-y", "install", "mini-data")
    assert dnf.run(url, "install", "mini-data").returncode == 0
    assert "not listed any more" not in release(checkout, published, 2, *over)
    # As on another machine: what is older is not here, and is fetched.
    shutil.rmtree(checkout.root / "stage" / "publication")
    assert "not listed any more" not in release(checkout, published, 3, *over)
    assert listed(published) == [nevra(1), nevra(2), nevra(3)]
    assert "in order" in checkout.run("repo", "verify", url, "--key", "release").stdout

    host.run("-y", "--refresh", "upgrade")
    assert host.installed() == ["mini-data-1.0-3.phos1"]
    host.run("-y", "downgrade", "mini-data")
    assert host.installed() == ["mini-data-1.0-2.phos1"]
    host.run("-y", "history", "undo", "last")
    assert host.installed() == ["mini-data-1.0-3.phos1"]
    host.run("-y", "history", "rollback", "1")
    assert host.installed() == ["mini-data-1.0-1.phos1"]

    for words, number in (
        (["--refresh", "upgrade"], 3),
        (["downgrade", "mini-data"], 2),
        (["history", "undo", "2"], 1),
    ):
        done = dnf.run(url, *words)
        assert done.returncode == 0, done.stderr
        assert dnf.installed()[0].split()[0] == nevra(number), words

    # The fourth takes the place of the first, and the second goes with the fifth.
    release(checkout, published, 4, *over)
    assert listed(published) == [nevra(2), nevra(3), nevra(4)]
    # Of four publications two stay, of packages and of sources each.
    assert "4 superseded states" in checkout.run("repo", "gc", str(published), "--keep", "2").stderr
    assert "in order" in checkout.run("repo", "verify", str(published), "--key", "release").stdout
    said = checkout.run("repo", "diff", str(published), str(checkout.root / "stage" / "publication")).stdout
    assert said == "packages: no difference\ndebuginfo: no difference\nsources: no difference\n"
    assert "older packages are not listed any more" in release(checkout, published, 5)
    assert listed(published) == [nevra(5)]


def test_what_another_has_published_is_not_listed(published: Path, checkout: Checkout) -> None:
    index = repository(published) / "repodata" / "repomd.xml"
    index.write_text(index.read_text().replace("<revision>", "<revision>1"))
    said = checkout.run("repo", "sign", "--key", "release", "--over", str(published), code=9).stderr
    assert "older packages cannot be listed" in said and "not signed by" in said and "hint: " in said
    assert "--over TARGET" in checkout.run("repo", "sign", "--key", "release", "--keep", "2", code=2).stderr


def test_other_content_under_the_same_number_is_refused(published: Path, checkout: Checkout) -> None:
    checkout.edit("mini-data", "Data for tests", "Other data for tests")
    checkout.run("repo", "sign", "--key", "release")
    said = checkout.run("repo", "publish", str(published), code=7).stderr
    assert "mini-data-1.0-1.phos1.noarch" in said and "hint: photonbuild bump --rebuild mini-data" in said


def test_dnf_refuses_a_package_that_was_altered(published: Path, url: str, dnf: Dnf, checkout: Checkout) -> None:
    (path,) = repository(published).glob(DATA)
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    assert dnf.run(url, "install", "mini-data").returncode == 1
    assert dnf.installed() == []
    assert (
        "its sha256 is not the one that is listed"
        in checkout.run("repo", "verify", url, "--key", "release", code=9).stderr
    )


def test_dnf_refuses_metadata_that_was_altered(published: Path, url: str, dnf: Dnf, checkout: Checkout) -> None:
    index = repository(published) / "repodata" / "repomd.xml"
    index.write_text(index.read_text().replace("<revision>", "<revision>1"))
    done = dnf.run(url, "makecache")
    assert done.returncode == 1 and "signature" in done.stderr.lower()
    assert "repomd.xml: not signed by" in checkout.run("repo", "verify", url, "--key", "release", code=9).stderr


def test_dnf_refuses_the_key_of_another(
    published: Path, url: str, dnf: Dnf, checkout: Checkout, tmp_path: Path
) -> None:
    checkout.run("key", "new", "other", "--user", "Other", "--email", "other@mini.invalid")
    (published / KEY_FILE).write_text(checkout.run("key", "export", "other").stdout)
    assert dnf.run(url, "makecache").returncode == 1
    said = checkout.run("repo", "verify", url, "--key", "other", code=9).stderr
    assert "repomd.xml: not signed by" in said and "mini-data-1.0-1.phos1.noarch.rpm: not signed by" in said


@pytest.mark.parametrize("state", ["expired", "revoked", "unknown"])
def test_dnf_refuses_metadata_by_a_key_that_is_no_good(published: Path, url: str, dnf: Dnf, state: str) -> None:
    """The key was good when it signed. What is `expired` and `revoked` is what clients are offered to trust."""
    index = repository(published) / "repodata" / "repomd.xml"
    key = Key.new(
        published.parent / "gnupg", "Old", expire="2d" if state == "expired" else "never", at="20260101T000000!"
    )
    index.with_suffix(".xml.asc").write_bytes(key.sign(index.read_bytes()))
    if state == "revoked":
        key.revoke()
    if state != "unknown":
        (published / KEY_FILE).write_bytes(key.public)
    done = dnf.run(url, "install", "mini-data")
    assert done.returncode == 1 and "repomd.xml GPG signature verification error: Bad GPG signature" in done.stderr
    assert dnf.installed() == []


def test_dnf_finds_what_nothing_provides(published: Path, url: str, dnf: Dnf) -> None:
    """The small distribution has no C library and no shell; what it needs of itself is there."""
    done = dnf.closure(url)
    assert done.returncode == 1 and "Repoclosure ended with unresolved dependencies" in done.stderr, done.stderr
    needs = {line.split("(")[0].strip() for line in done.stdout.splitlines() if line.startswith("    ")}
    assert needs == {"/bin/bash", "libc.so.6", "rtld"}, done.stdout


def test_verify_names_what_is_missing(published: Path, checkout: Checkout) -> None:
    (path,) = repository(published).glob(DATA)
    path.unlink()
    said = checkout.run("repo", "verify", str(published), "--key", "release", code=9).stderr
    assert "it is listed, but is not there" in said and path.name in said
