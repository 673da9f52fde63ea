"""New versions, Debian's patches and rebuilds: from an archive's signed index to packages with other numbers."""

from __future__ import annotations

import gzip
import json
import lzma
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import createrepo_c
import pytest
import yaml

from photonbuild.files import sealed, sha1_of
from tests.integration.conftest import Checkout
from tests.support.debian_archive import Archive, served, tar_of

PATCH = "--- a/answer.txt\n+++ b/answer.txt\n@@ -1 +1 @@\n-1.1\n+1.1 fixed\n"
PLAIN_SPEC = """\
Name:           answer
Version:        1.0
Release:        1%{?dist}
Summary:        A file for tests
License:        Apache-2.0
Source0:        answer-%{version}.tar.xz
BuildArch:      noarch

%description
A file.

%prep
%autosetup

%install
install -Dpm 644 answer.txt %{buildroot}%{_datadir}/answer.txt

%files
%{_datadir}/answer.txt
"""


MODULE = "example.invalid/tool"
GO_MOD = f"""\
module photonbuild.invalid/answer

go 1.24

tool {MODULE}

require {MODULE} v1.0.0 // indirect
"""
GO_MAIN = 'package main\n\nfunc main() {{ println("{version}") }}\n'


def original(version: str) -> bytes:
    return tar_of({f"answer-{version}/answer.txt": f"{version}\n"})


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with served(tmp_path / "archive") as found:
        for version in ("1.0", "1.1", "1.2"):
            changes = {"debian/patches/series": "CVE-2026-1.patch\nother.patch\n", "debian/patches/other.patch": "x"}
            changes["debian/patches/CVE-2026-1.patch"] = PATCH
            files = {
                f"answer_{version}.orig.tar.xz": original(version),
                f"answer_{version}-1+deb13u1.debian.tar.xz": tar_of(changes),
            }
            found.add("answer", f"1:{version}-1+deb13u1", files, security=version == "1.2")
        # Listed, and not given.
        (found.root / "debian-security/pool/updates/main/a/answer/answer_1.2.orig.tar.xz").unlink()
        found.sign()
        yield found


@pytest.fixture
def updated(checkout: Checkout, archive: Archive) -> Checkout:
    folder = checkout.root / "specs" / "answer"
    folder.mkdir()
    (folder / "answer.spec").write_text(PLAIN_SPEC)
    (folder / "sources.yaml").write_text(
        "# where it is\nsources:\n  - file: answer-1.0.tar.xz\n    providers:\n      - type: deb-src\n"
        "        path: pool/main/a/answer/answer_1.0.orig.tar.xz\n"
    )
    (checkout.root / "user.yaml").write_text(yaml.safe_dump({"mirrors": archive.settings}))
    for argv in (["init", "-q"], ["config", "user.name", "A Maintainer"], ["config", "user.email", "a@example"]):
        subprocess.run(["git", *argv], cwd=checkout.root, check=True)
    checkout.run("sources", "lock", "answer")
    return checkout


def nevras(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [Path(line).name for line in done.stdout.splitlines() if line.endswith(".rpm")]


def test_a_version_its_patches_and_rebuilds_each_change_the_number(updated: Checkout) -> None:
    (row,) = json.loads(updated.run("outdated", "answer", "--format", "json").stdout)
    assert (row["version"], row["newest"], row["refused"], row["behind"]) == ("1.0", "1.1", ["1.2"], True)
    assert row["fixes"] == "1.0-1+deb13u1"

    assert "+Version:        1.1" in updated.run("bump", "answer", "--dry-run").stdout
    assert "Version:        1.0" in updated.spec("answer").read_text()
    assert updated.run("bump", "--all").stdout.count("+Version:") == 1

    updated.run("bump", "answer")
    assert "# where it is" in (updated.root / "specs/answer/sources.yaml").read_text()
    assert nevras(updated.run("build", "answer")) == ["answer-1.1-1.phos1.noarch.rpm"]

    shown = updated.run("bump", "answer", "--patches", "*cve-*").stdout
    assert "+      - debian/patches/CVE-2026-1.patch" in shown and "other.patch" not in shown
    changes = updated.root.parent / "archive/debian/pool/main/a/answer/answer_1.1-1+deb13u1.debian.tar.xz"
    assert f"+        sha1: {sha1_of(changes)}" in shown
    rpm = Path(updated.run("build", "answer").stdout.strip())
    assert rpm.name == "answer-1.1-2.phos1.noarch.rpm"
    assert (rpm.parent.parent / "trees/answer/usr/share/answer.txt").read_text() == "1.1 fixed\n"
    (row,) = json.loads(updated.run("outdated", "answer", "--format", "json").stdout)
    assert (row["used"], row["behind"]) == ("1.1-1+deb13u1", False)


def test_a_counted_rebuild_changes_one_number_and_no_other_key(updated: Checkout) -> None:
    before = updated.run("build", "answer", "mini-data").stdout
    updated.run("bump", "--rebuild", "answer", "--reason", "A newer compiler")
    plan = updated.run("plan", "answer", "mini-data").stdout
    assert "will    answer 1.0-1.phos1.1" in plan and "cached  mini-data" in plan
    after = updated.run("build", "answer", "mini-data").stdout
    assert len(set(before.splitlines()) - set(after.splitlines())) == 1
    rpm = next(Path(line) for line in after.splitlines() if "answer-1.0-1.phos1.1.noarch" in line)
    (entry,) = createrepo_c.package_from_rpm(str(rpm)).changelogs
    assert entry[createrepo_c.CHANGELOG_ENTRY_AUTHOR] == "A Maintainer <a@example> - 1.0-1.1"
    assert entry[createrepo_c.CHANGELOG_ENTRY_CHANGELOG] == "- A newer compiler"
    updated.run("bump", "--rebuild", "answer")
    assert "will    answer 1.0-1.phos1.2" in updated.run("plan", "answer").stdout


def test_what_is_not_obtainable_or_not_known_is_said(updated: Checkout, archive: Archive) -> None:
    done = updated.run("bump", "answer", "7.0", code=4)
    assert "no archive lists answer 7.0" in done.stderr and "1.2, 1.1, 1.0" in done.stderr
    assert "no provider yields answer-1.2.tar.xz" in updated.run("bump", "answer", "1.2", code=4).stderr
    (updated.root / "build" / "rebuilds.yaml").write_text("rebuilds:\n  anser: 1\n")
    done = updated.run("plan", "answer", code=2)
    assert "build/rebuilds.yaml:2" in done.stderr and "did you mean 'answer'" in done.stderr
    (updated.root / "build" / "rebuilds.yaml").unlink()
    listed = archive.root / "debian/dists/trixie/main/source/Sources"
    listed.write_text(listed.read_text().replace("1.1-1", "9.9-1"))
    # The signature covers the index: an altered one is not read.
    assert "9.9" not in updated.run("bump", "answer", "--dry-run", code=0).stdout


def go_proxy(root: Path, *versions: str) -> None:
    """The files that a module proxy serves: https://go.dev/ref/mod#goproxy-protocol"""
    folder = root / "go" / MODULE / "@v"
    folder.mkdir(parents=True)
    (folder / "list").write_text("".join(f"{version}\n" for version in versions))
    for version in versions:
        mod = f"module {MODULE}\n\ngo 1.24\n"
        (folder / f"{version}.info").write_text(json.dumps({"Version": version, "Time": "2026-01-01T00:00:00Z"}))
        (folder / f"{version}.mod").write_text(mod)
        with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
            archive.writestr(f"{MODULE}@{version}/go.mod", mod)
            archive.writestr(f"{MODULE}@{version}/main.go", GO_MAIN.format(version=version))


def test_a_go_module(updated: Checkout, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSUMDB", "off")
    go_proxy(archive.root, "v1.0.0", "v1.1.0", "v1.2.0-rc.1")
    (updated.root / "user.yaml").write_text(
        yaml.safe_dump({"mirrors": {**archive.settings, "go": f"{archive.url}/go"}})
    )
    folder = updated.root / "specs" / "answer"
    (folder / "go.mod").write_text(GO_MOD)
    (folder / "go.sum").touch()
    (folder / "sources.yaml").write_text(
        "sources:\n  - file: answer-vendor.tar  # kept\n    providers:\n      - type: go-module\n        module: .\n"
    )
    spec = PLAIN_SPEC.replace("1.0", "1.0.0").replace("answer-%{version}.tar.xz", "answer-vendor.tar")
    (folder / "answer.spec").write_text(spec)
    refused = updated.run("bump", "answer", "7.0.0", code=4).stderr
    assert f"no {MODULE} 7.0.0 is given" in refused and "listed: 1.2.0~rc.1, 1.1.0, 1.0.0" in refused
    (row,) = json.loads(updated.run("outdated", "answer", "--format", "json").stdout)
    assert (row["version"], row["newest"], row["upstream"], row["behind"]) == ("1.0.0", "1.1.0", "1.1.0", True)
    updated.run("bump", "answer")
    assert f"require {MODULE} v1.1.0" in (folder / "go.mod").read_text()
    assert (folder / "go.sum").read_text().count(f"{MODULE} v1.1.0") == 2
    assert "# kept" in (folder / "sources.yaml").read_text()
    assert "Version:        1.1.0" in updated.spec("answer").read_text()
    # What was locked is what the module gives now.
    locked = yaml.safe_load((folder / "sources.yaml").read_text())["sources"][0]
    with tarfile.open(updated.store / "sources" / locked["sha512"]) as tar:
        assert f"answer-vendor/vendor/{MODULE}/main.go" in tar.getnames()
    assert "is not in the store" not in updated.run("sources", "fetch", "answer", "--offline").stderr
    assert "nothing newer" in updated.run("bump", "answer").stderr
    updated.run("bump", "answer", "1.2.0~rc.1")
    assert "Version:        1.2.0~rc.1" in updated.spec("answer").read_text()


def test_a_project_of_the_index_of_python_packages(updated: Checkout, archive: Archive) -> None:
    folder = updated.root / "specs" / "answer"
    index = archive.root / "simple" / "answer"
    index.mkdir(parents=True)
    links = ""
    for version in ("1.0", "1.1", "2.0rc1"):
        name = f"answer-{version}.tar.gz"
        (index / name).write_bytes(gzip.compress(lzma.decompress(original(version)), mtime=0))
        links += f'<a href="{name}#sha256={"0" * 64}">{name}</a><br/>\n'
    (index / "index.html").write_text(f"<!DOCTYPE html><html><body>\n{links}</body></html>\n")
    (folder / "answer.spec").write_text(PLAIN_SPEC.replace(".tar.xz", ".tar.gz"))
    mirrors = {**archive.settings, "pypi": f"{archive.url}/simple"}
    (updated.root / "user.yaml").write_text(yaml.safe_dump({"mirrors": mirrors}))
    (folder / "sources.yaml").write_text(
        "sources:\n  - file: answer-1.0.tar.gz\n    providers:\n      - type: pypi\n        project: answer\n"
        "        file: answer-1.0.tar.gz\n"
    )
    updated.run("sources", "lock", "answer")
    (row,) = json.loads(updated.run("outdated", "answer", "--format", "json").stdout)
    assert (row["newest"], row["behind"]) == ("1.1", True)
    updated.run("bump", "answer")
    assert nevras(updated.run("build", "answer")) == ["answer-1.1-1.phos1.noarch.rpm"]
    assert (folder / "sources.yaml").read_text().count("answer-1.1.tar.gz") == 2
    assert "nothing newer" in updated.run("bump", "answer").stderr


def test_a_bump_that_was_killed_is_finished_by_the_next_command(updated: Checkout) -> None:
    text = PLAIN_SPEC.replace("Release:        1", "Release:        9")
    change = sealed({"files": {"specs/answer/answer.spec": text}})
    (updated.root / ".photonbuild-change.json").write_text(json.dumps(change))
    said = updated.run("plan", "answer")
    assert "it is finished now" in said.stderr and "answer 1.0-9.phos1" in said.stdout
    assert not (updated.root / ".photonbuild-change.json").exists()
