"""What a bump writes: the spec, its sources, the changelog and the counters, and nothing else of them."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from photonbuild.config.load import load_sources
from photonbuild.config.sources import DebSrc, GoModule, PyPI, Snapshot, SourceEntry, Url
from photonbuild.errors import ConfigError, SourceError, SpecError
from photonbuild.pipeline import bump, modules, outdated, upstream
from photonbuild.pipeline.change import Proposal
from photonbuild.pipeline.session import Session
from photonbuild.roots import Roots
from photonbuild.sources.debian import SourcePackage

SPEC = """\
%global upstream_version  1.0-rc.1
Name:           answer
Version:        1.0~rc.1
Release:        7%{?dist}
Summary:        A file for tests
License:        Apache-2.0
Source0:        answer-%{version}.tar.xz

%description
Version: of nothing.

%package more
Version:        9

%prep
%autosetup
"""
SOURCES = """\
# where it is
sources:
  - file: answer-1.0.tar.xz  # kept
    sha512: "0"
    size: 1
    providers:
      - type: deb-src
        path: pool/main/a/answer/answer_1.0.orig.tar.xz
      - type: snapshot
        sha1: 0000000000000000000000000000000000000000
      - type: url
        url: https://example.invalid/1.0/answer-1.0.tar.xz
      - type: pypi
        project: answer
        file: answer-1.0.tar.xz
"""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A checkout of two specs; git says who writes the changelog."""
    specs = {}
    for name, text in (("answer", SPEC), ("more", SPEC.replace("answer", "more"))):
        folder = tmp_path / "specs" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.spec").write_text(text)
        (folder / "sources.yaml").write_text(SOURCES.replace('"0"', f'"{"0" * 128}"'))
        specs[name] = SimpleNamespace(
            name=name,
            version="1.0~rc.1",
            folder=folder,
            path=folder / f"{name}.spec",
            where=f"specs/{name}/{name}.spec",
            fetched=load_sources(folder),
        )
    for argv in (["init", "-q"], ["config", "user.name", "A Maintainer"], ["config", "user.email", "a@example"]):
        subprocess.run(["git", *argv], cwd=tmp_path, check=True)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/rebuilds.yaml").write_text("rebuilds: {answer: 2, more: 5}\n")
    config = SimpleNamespace(
        root=tmp_path,
        roots=Roots.of(tmp_path),
        rebuilds={"answer": 2, "more": 5},
        rebuilds_file=tmp_path / "build" / "rebuilds.yaml",
        user=SimpleNamespace(packager=None),
    )
    return cast(Session, SimpleNamespace(config=config, specs=specs, spec=specs.__getitem__))


def texts(proposal: Proposal) -> dict[str, str | None]:
    return {str(path.relative_to(proposal.root)): text for path, text in proposal.files.items()}


def test_another_version(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    raised = upstream.Raised(version="2.0~beta.3", files={session.spec("answer").folder / "go.mod": "new\n"})
    monkeypatch.setattr(upstream, "raised", lambda *_: raised)
    found = texts(bump.to_version(session, "answer", None))
    assert found.keys() == {f"specs/answer/{n}" for n in ("answer.spec", "changelog", "go.mod")} | {
        "build/rebuilds.yaml"
    }
    expected = SPEC.replace("1.0~rc.1", "2.0~beta.3").replace("1.0-rc.1", "2.0-beta.3").replace("7%{", "1%{")
    assert found["specs/answer/answer.spec"] == expected
    first, second = str(found["specs/answer/changelog"]).splitlines()
    assert re.fullmatch(r"\* \w{3} \w{3} \d\d \d{4} A Maintainer <a@example> - 2\.0~beta\.3-1", first)
    assert second == "- Version 2.0~beta.3"
    # It begins to count again; the other one does not.
    assert str(found["build/rebuilds.yaml"]).endswith("rebuilds:\n  more: 5\n")


def test_nothing_newer(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "raised", lambda *_: upstream.Raised(version="1.0", files={}, notes=["why"]))
    proposal = bump.to_version(session, "answer", None)
    assert (proposal.files, proposal.notes, proposal.diff()) == ({}, ["why"], "")


def test_rebuilds_are_counted(session: Session) -> None:
    found = texts(bump.rebuild(session, ["answer", "more"], "A newer compiler"))
    assert str(found["build/rebuilds.yaml"]).endswith("rebuilds:\n  answer: 3\n  more: 6\n")
    changelog = str(found["specs/answer/changelog"])
    assert " - 1.0~rc.1-7.3\n- A newer compiler\n" in changelog


def test_a_changelog_that_is_no_text(session: Session) -> None:
    (session.spec("answer").folder / "changelog").write_bytes(b"* a\n- caf\xe9\n")
    with pytest.raises(SpecError) as caught:
        bump.rebuild(session, ["answer"])
    assert caught.value.where == "specs/answer/changelog:2"


def test_the_archive_of_another_version(session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each provider names the new file as it named the old one; comments and order stay."""
    spec = cast(Any, session.spec("answer"))
    spec.version = "1.0"
    package = SourcePackage(
        name="answer",
        version="2:1.1-1",
        files=("pool/main/a/answer/answer_1.1.orig.tar.gz", "pool/main/a/answer/answer_1.1-1.debian.tar.xz"),
    )
    monkeypatch.setattr(outdated, "indexes", lambda *_: {"answer": [package]})
    archive = tmp_path / "archive"
    archive.write_bytes(b"")

    def fetched(_: Session, __: object, file: str, path: str) -> tuple[SourceEntry, Path]:
        entry = SourceEntry(file=file, providers=(DebSrc(type="deb-src", path=path),), sha512="f" * 128, size=2)
        return entry, archive

    monkeypatch.setattr(upstream, "fetched", fetched)
    raised = upstream.raised(session, spec, "1.1")
    expected = (
        SOURCES.replace('"0"', "f" * 128)
        .replace("size: 1", "size: 2")
        .replace("answer-1.0.tar.xz", "answer-1.1.tar.gz", 1)
        .replace("answer_1.0.orig.tar.xz", "answer_1.1.orig.tar.gz")
        .replace("0" * 40, "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        .replace("example.invalid/1.0/answer-1.0", "example.invalid/1.1/answer-1.1")
        .replace("file: answer-1.0.tar.xz", "file: answer-1.1.tar.xz")
    )
    assert raised.files == {spec.folder / "sources.yaml": expected}
    with pytest.raises(SourceError, match=r"no archive lists answer 7\.0"):
        upstream.raised(session, spec, "7.0")


def test_what_has_no_provider_that_knows_versions(session: Session) -> None:
    spec = cast(Any, session.spec("answer"))
    local = SourceEntry(file="a.tar", providers=(GoModule(type="go-module", tar="a.tar"),))
    spec.fetched = SimpleNamespace(sources=[local])
    with pytest.raises(ConfigError) as caught:
        bump.to_version(session, "answer", None)
    assert "sources lock answer" in str(caught.value.hint)


PATCHES: Mapping[str, str] = {
    "debian/patches/series": "# of Debian\nCVE-2026-1.patch -p1\nfix/cve-2026-2.patch\nother.patch\n",
}


def patched(session: Session, monkeypatch: pytest.MonkeyPatch, changes: str = "debian.tar.xz") -> dict[str, str | None]:
    package = SourcePackage(
        name="answer", version="1.0-1+deb13u2", files=(f"pool/main/a/answer/answer_1.0-1+deb13u2.{changes}",)
    )
    entry = SourceEntry(
        file="answer_1.0-1+deb13u2.debian.tar.xz",
        providers=(DebSrc(type="deb-src", path=package.files[0]),),
        sha512="e" * 128,
        size=3,
    )
    monkeypatch.setattr(upstream, "of_debian", lambda *_: (0, "1.0", [package]))
    monkeypatch.setattr(outdated, "newest_changes", lambda *_: package)
    archive = session.config.root / "archive"
    archive.write_bytes(b"abc")
    monkeypatch.setattr(upstream, "fetched", lambda *_: (entry, archive))
    monkeypatch.setattr(bump, "read_member", lambda _, name: PATCHES[name])
    return texts(bump.take_patches(session, "answer", ["*CVE-*"]))


def test_patches_of_debian(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="no patch"):
        monkeypatch.setattr(bump, "fnmatch", SimpleNamespace(fnmatch=lambda *_: False))
        patched(session, monkeypatch)
    monkeypatch.undo()
    with pytest.raises(SourceError, match="are one patch"):
        patched(session, monkeypatch, "diff.gz")
    found = patched(session, monkeypatch)
    spec = str(found["specs/answer/answer.spec"])
    assert "Patch900:       CVE-2026-1.patch\nPatch901:       cve-2026-2.patch\n" in spec
    assert "Release:        8%{?dist}" in spec and "%autosetup -p1" in spec and "other" not in spec
    assert "CVE-2026-1, CVE-2026-2" in str(found["specs/answer/changelog"])
    sources = str(found["specs/answer/sources.yaml"])
    assert sources.endswith(
        "        path: pool/main/a/answer/answer_1.0-1+deb13u2.debian.tar.xz\n"
        f"      - type: snapshot\n        sha1: {hashlib.sha1(b'abc').hexdigest()}\n"
        "    members:\n      - debian/patches/CVE-2026-1.patch\n      - debian/patches/fix/cve-2026-2.patch\n"
    )
    # Taken again they are there once.
    folder = session.config.root / "specs/answer"
    for name in ("answer.spec", "sources.yaml"):
        (folder / name).write_text(str(found[f"specs/answer/{name}"]))
    again = patched(session, monkeypatch)
    assert str(again["specs/answer/answer.spec"]).count("Patch9") == 2
    assert str(again["specs/answer/sources.yaml"]).count("members:") == 1


def test_proposals_for_all_go_on_after_a_mistake(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    standings = [
        outdated.Standing(package="answer", version="1.0", newest="1.1"),
        outdated.Standing(package="more", version="1.0", newest="1.0", fixes="1.0-1+deb13u1"),
        outdated.Standing(package="same", version="1.0", newest="1.0"),
        outdated.Standing(package="unknown", version="1.0"),
    ]
    monkeypatch.setattr(outdated, "outdated", lambda *_: standings)

    def refuse(*_: object) -> Proposal:
        raise SourceError("it is not given")

    monkeypatch.setattr(bump, "to_version", refuse)
    taken = Proposal(root=session.config.root)
    monkeypatch.setattr(bump, "take_patches", lambda *_: taken)
    found = bump.propose_all(session)
    assert [proposal.notes for proposal in found] == [["answer: it is not given"], ()]


@pytest.mark.parametrize(
    ("go", "package"),
    [("v1.9.1", "1.9.1"), ("v2.0.0-beta.24", "2.0.0~beta.24"), ("v29.9.3+incompatible", "29.9.3")],
)
def test_versions_of_go(go: str, package: str) -> None:
    assert modules.as_package(go) == package
    assert modules.as_module(package) == go.partition("+")[0]


@pytest.mark.parametrize(
    ("provider", "new"),
    [
        (PyPI(type="pypi", project="a", file="a-1.0.tar.gz"), "a-1.1.tar.gz"),
        (Url(type="url", url="https://example.invalid/v1.0/a-1.0.tgz"), "https://example.invalid/v1.1/a-1.1.tgz"),
        (Snapshot(type="snapshot", sha1="0" * 40), "0" * 40),
    ],
)
def test_a_provider_at_another_version(provider: PyPI | Url | Snapshot, new: str) -> None:
    assert new in upstream._at_version(provider, "1.0", "1.1").model_dump().values()


def test_a_release_that_cannot_be_counted(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = cast(Any, session.spec("answer"))
    spec.path.write_text(SPEC.replace("7%{?dist}", "%{release_number}"))
    with pytest.raises(ConfigError, match="no release that can be counted"):
        patched(session, monkeypatch)
