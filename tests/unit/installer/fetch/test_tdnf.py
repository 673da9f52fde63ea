"""What tdnf is told, and what is made of what it says; the program itself is in tests/integration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from photonbuild.errors import PhotonbuildError
from photonbuild.installer.errors import FetchError, MachineError, PackageError
from photonbuild.installer.fetch import tdnf
from photonbuild.installer.fetch.fetcher import ATTEMPTS, Fetcher
from photonbuild.installer.fetch.tdnf import argv, download, exact, repo_file, settings
from photonbuild.installer.kickstart.model import Repository
from photonbuild.run import Completed
from tests.support.installer import paths

AT = "https://u:s3cr3t@h.example/r/"
REPO = Repository(name="own", baseurl=AT)
LISTED = [
    {"Name": "b", "Evr": "2-1"}, {"Name": "b", "Evr": "1-1"}, {"Name": "late", "Evr": "1:2-2"},
    {"Name": "late", "Evr": "1:2-1"}, {"Name": "file", "Evr": "5-1"},
]  # fmt: skip


def test_settings() -> None:
    assert settings(Path("/w"), ["a", "b"]) == (
        "[main]\nreposdir=/w/repos\ncachedir=/w/cache\npersistdir=/w/state\ngpgcheck=0\nrepo_gpgcheck=0\n"
        "install_weak_deps=0\nretries=1\nexcludepkgs=a b\n"
    )
    assert argv(Path("/w"), "list") == ("tdnf", "--config=/w/tdnf.conf", "--assumeyes", "--json", "list")


def test_the_file_of_a_repository() -> None:
    plain = "[r]\nbaseurl=https://h/r\nenabled=1\nrepo_gpgcheck=0\ngpgcheck=0\nsslverify=1\n"
    repository = Repository(name="r", baseurl="https://h/r")
    assert repo_file(repository, "https://h/r") == plain
    text = repo_file(repository, "https://u:a,$b@h/r", proxy="http://p:$q@h:1", authorities=Path("/ca"))
    assert "\nbaseurl=https://u:a%2C%24b@h/r\n" in text, "words and variables of such files"
    assert text.endswith("\nproxy=http://p:%24q@h:1\nsslcacert=/ca\n")


def test_a_repository_with_a_key_and_without_a_certificate() -> None:
    signed = Repository(name="r", baseurl="https://h/r", gpgcheck=True, sslverify=False)
    text = repo_file(signed, "https://h/r", keys=["file:///w/keys/r-0"])
    assert text.endswith("\ngpgcheck=1\nsslverify=0\ngpgkey=file:///w/keys/r-0\n")


def test_the_release_and_the_architecture_in_an_address(tmp_path: Path) -> None:
    where = paths(tmp_path)
    (where.root / "usr/lib").mkdir(parents=True)
    (where.root / "usr/lib/os-release").write_text('ID=phos\nVERSION_ID="1.0"\n')
    address = tdnf.replaced("https://h/$releasever/updates_$releasever_$basearch/${arch}", where)
    assert address == "https://h/1.0/updates_1.0_x86_64/x86_64"


def test_versions_of_packages_with_an_epoch() -> None:
    words = ["b", "b=1", "late", "late=2", "late=2-1", "late=1:2", "late=3", "other=1"]
    assert exact(words, LISTED) == ["b", "b=1", "late", "late=1:2", "late=1:2-1", "late=1:2", "late=3", "other=1"]


def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stderr: str, code: int = 1) -> tuple[PhotonbuildError, int]:
    """The error that comes of it when packages are fetched, and how often tdnf was run for them."""
    runs = []

    def run(words: Any, **_: Any) -> Completed:
        if "list" in words:
            return Completed(argv=words, returncode=0, stdout=json.dumps(LISTED))
        runs.append(words)
        return Completed(argv=words, returncode=code, stdout="{}\n", stderr=stderr)

    monkeypatch.setattr(tdnf, "run", run)
    with Fetcher(paths=paths(tmp_path), pause=0) as fetcher, pytest.raises(PhotonbuildError) as caught:
        download(["a"], [REPO], fetcher, ["c"])
    [file] = (tmp_path / "run/work/tdnf/repos").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 and "s3cr3t" in file.read_text()
    assert "s3cr3t" not in f"{runs}{caught.value}{caught.value.detail}{caught.value.hint}"
    return caught.value, len(runs)


INDEX = "https://h.example/r/repodata/repomd.xml"


@pytest.mark.parametrize(
    ("what", "hint", "runs"),
    [
        ("cannot be downloaded: Could not resolve host: h.example", "networkctl", ATTEMPTS),
        ("cannot be downloaded: Failed to connect to h.example port 443 after 9 ms: x", "networkctl", ATTEMPTS),
        ("cannot be downloaded: The requested URL returned error: 503", "networkctl", ATTEMPTS),
        ("cannot be downloaded: The requested URL returned error: 404", "'baseurl' under 'repos'", 1),
        ("cannot be downloaded: The requested URL returned error: 401", "https://USER:PASSWORD@HOST", 1),
        ("cannot be downloaded: CONNECT tunnel failed, response 407", "installer.proxy=", 1),
        ("cannot be downloaded: SSL certificate problem: unable to get local issuer", "installer.ca=", 1),
        ('cannot be downloaded: Protocol "http" disabled in redirect', "must stay at https", 1),
        ("what was downloaded has not the digest that the metadata say", "make its metadata anew", 1),
        ("it is larger than it may be", "make its metadata anew", 1),
        ("the disk is too full: 9.0 M are to be downloaded, 1.0 M are free", "kept in memory", 1),
        ("repomd.xml names no list of packages", "of tdnf", 1),
    ],
)
def test_what_cannot_be_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, hint: str, runs: int
) -> None:
    text = f"warning: one\nerror: {what}\n  where: {INDEX}\n\nhint: of tdnf\n"
    error, count = said(monkeypatch, tmp_path, text)
    assert (type(error), error.message, error.where, count) == (FetchError, what, INDEX, runs)
    assert error.hint is not None and hint in error.hint


def test_what_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    end = "error: no package matches\n  where: x\n\nhint: tdnf search WORD\n"
    error, _ = said(monkeypatch, tmp_path, f"No package filee available\n{end}")
    assert str(error) == "packages: no repository has 'filee', did you mean 'file'"
    assert type(error) is PackageError and error.hint is None and error.detail is None
    error, _ = said(monkeypatch, tmp_path / "2", f"No package b=3 available\nNo package x available\n{end}")
    assert error.message == "2 packages are not to be had"
    assert error.detail == "there is no 'b' of version 3 (there are: b-2-1, b-1-1)\nno repository has 'x'"


def test_what_does_not_go_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "error: the packages do not fit together\n  - nothing provides x\x1b[2J needed by a\n\nhint: --nobest\n"
    error, _ = said(monkeypatch, tmp_path, text)
    assert (type(error), error.hint) == (PackageError, None)
    assert error.detail == "  - nothing provides x?[2J needed by a"


def test_what_is_no_error_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error, _ = said(monkeypatch, tmp_path, "tdnf: cannot open shared object\n", -11)
    assert (type(error), error.message, error.detail) == (
        MachineError, "tdnf ended with exit code -11", "tdnf: cannot open shared object",
    )  # fmt: skip
    error, _ = said(monkeypatch, tmp_path / "2", f"assertion failed: {AT}x\n")
    assert error.detail == "assertion failed: https://h.example/r/x"


def test_two_packages_of_one_file_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One would have replaced the other."""
    plan = json.dumps({"Install": [{"Name": "a"}, {"Name": "b"}]})

    def run(words: Any, **_: Any) -> Completed:
        (tmp_path / "run/work/packages").mkdir(exist_ok=True)
        (tmp_path / "run/work/packages/x.rpm").touch()
        return Completed(argv=words, returncode=0, stdout="[]" if "list" in words else plan)

    monkeypatch.setattr(tdnf, "run", run)
    with Fetcher(paths=paths(tmp_path)) as fetcher, pytest.raises(FetchError, match="one file name"):
        download(["a", "b"], [REPO], fetcher, [])


def test_http_is_refused_before_tdnf_is_asked(tmp_path: Path) -> None:
    repo = Repository(name="own", baseurl="http://h/r")
    with Fetcher(paths=paths(tmp_path)) as fetcher, pytest.raises(FetchError, match="http is refused"):
        download(["a"], [repo], fetcher, [])


def test_an_authority_besides_the_public_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(words: Any, **_: Any) -> Completed:
        return Completed(argv=words, returncode=0, stdout="[]" if "list" in words else "{}")

    monkeypatch.setattr(tdnf, "run", run)
    public = tmp_path / "public.pem"
    public.write_text("public\n")
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: type("Paths", (), {"cafile": str(public)}))
    with Fetcher(paths=paths(tmp_path), authorities="own\n") as fetcher:
        assert download(["a"], [REPO], fetcher, []) == ()
    folder = tmp_path / "run/work/tdnf"
    assert (folder / "authorities.pem").read_text() == "public\n\nown\n"
    assert f"sslcacert={folder}/authorities.pem" in (folder / "repos/own.repo").read_text()
