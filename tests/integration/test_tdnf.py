"""tdnf in a root of our own packages, against real packages, real metadata and a web server."""

from __future__ import annotations

import json
import shutil

from tests.integration.tdnf_fixtures import Lab, lab, layers, made

__all__ = ["lab", "layers", "made"]

ADVISORY = """\
<?xml version="1.0" encoding="UTF-8"?>
<updates><update from="x@example.invalid" status="stable" type="security" version="1">
<id>ADV-2026-1</id><title>app</title><severity>Critical</severity><issued date="2026-01-02 00:00:00"/>
<updated date="2026-01-02 00:00:00"/><description>An update.</description>
<references><reference href="https://example.invalid/" id="CVE-2026-1" type="cve" title="CVE-2026-1"/></references>
<pkglist><collection short="c"><name>c</name>
<package name="lib" version="2" release="1" epoch="0" arch="noarch" src="lib-2-1.src.rpm">
<filename>lib-2-1.noarch.rpm</filename></package></collection></pkglist></update></updates>
"""


def test_a_key_is_shown_by_its_fingerprint_and_kept_once_it_is_accepted(lab: Lab) -> None:
    lab.publish("app", "lib")
    lab.host.repo("main", lab.url, key=lab.key)
    refused = lab.host.run("makecache", code=1, stdin=b"n\n")
    assert lab.key.fingerprint in refused.stderr and "was not accepted" in refused.stderr
    accepted = lab.host.run("makecache", stdin=b"y\n")
    assert lab.key.fingerprint in accepted.stderr
    assert lab.key.fingerprint not in lab.host.run("makecache").stderr
    lab.host.run("-y", "install", "app")
    assert lab.host.installed() == ["app-1-1", "lib-1-1"]


def test_install_upgrade_downgrade_reinstall_remove(lab: Lab) -> None:
    host = lab.host
    lab.start("app", "lib", "app2", "lib2", "base")
    host.run("-y", "install", "app-1")
    assert host.installed() == ["app-1-1", "lib-2-1"]
    assert host.run("check-update", code=100).stdout.split()[:2] == ["app.noarch", "2-1"]
    host.run("-y", "upgrade")
    assert host.installed() == ["app-2-1", "lib-2-1"]
    assert host.run("check-update").stdout == ""
    assert "Nothing to do." in host.run("-y", "upgrade").stdout
    host.run("-y", "downgrade", "app")
    assert host.installed() == ["app-1-1", "lib-2-1"]
    host.run("-y", "reinstall", "app")
    host.run("-y", "distro-sync")
    assert host.installed() == ["app-2-1", "lib-2-1"]
    host.run("-y", "remove", "app")
    assert host.installed() == []
    assert "Check completed" in host.run("check").stdout


def test_what_was_asked_for_stays_and_what_came_with_it_goes(lab: Lab) -> None:
    host = lab.host
    lab.start("app", "lib", "base")
    host.run("-y", "install", "app", "base")
    host.run("-y", "remove", "--noautoremove", "app")
    assert host.installed() == ["base-1-1", "lib-1-1"]
    assert host.run("repoquery", "--unneeded").stdout == "lib-1-1.noarch\n"
    host.run("mark", "install", "lib")
    assert "Nothing to do." in host.run("-y", "autoremove").stdout
    host.run("mark", "remove", "lib")
    host.run("-y", "autoremove")
    assert host.installed() == ["base-1-1"]


def test_history_is_listed_undone_and_rolled_back(lab: Lab) -> None:
    host = lab.host
    lab.start("app", "lib", "base")
    host.run("-y", "install", "app")
    lab.publish("app2", "lib2")
    host.run("-y", "--refresh", "upgrade")
    host.run("-y", "install", "base")
    entries = json.loads(host.run("--json", "history", "info").stdout)
    assert [entry["Id"] for entry in entries] == [1, 2, 3]
    assert entries[1]["Added"] == ["app-2-1.noarch", "lib-2-1.noarch"]
    assert entries[1]["Removed"] == ["app-1-1.noarch", "lib-1-1.noarch"]
    host.run("-y", "history", "undo", "last")
    assert host.installed() == ["app-2-1", "lib-2-1"]
    host.run("-y", "history", "rollback", "1")
    assert host.installed() == ["app-1-1", "lib-1-1"]
    # It came for another one, and still is there for that one.
    host.run("-y", "remove", "app")
    assert host.installed() == []


def test_questions_have_answers_for_people_and_programs(lab: Lab) -> None:
    host = lab.host
    lab.start("app", "lib", "app2", "lib2", "base")
    host.run("-y", "install", "lib-1")
    assert host.run("repoquery", "--whatrequires", "lib").stdout == "app-1-1.noarch\napp-2-1.noarch\n"
    assert host.run("repoquery", "--requires", "app-2").stdout == "lib >= 2\n"
    assert host.run("repoquery", "--list", "base").stdout == "/usr/share/base\n/usr/share/base/version\n"
    assert host.run("repoquery", "--qf", "%{name} %{version}", "--latest-limit", "app").stdout == "app 2\n"
    assert host.run("repoquery", "--upgrades").stdout == "lib-2-1.noarch\n"
    assert "A Tester" in host.run("repoquery", "--changelogs", "base").stdout
    assert host.run("repoquery", "--location", "base").stdout == f"{lab.url}/base-1-1.noarch.rpm\n"
    assert "base-1-1.noarch" in host.run("provides", "/usr/share/base/version").stdout
    assert "lib-2-1.noarch" in host.run("provides", "lib(api) = 2").stdout
    assert "base : Package base" in host.run("search", "PACKAGE", "base").stdout
    listed = json.loads(host.run("--json", "list", "lib").stdout)
    assert {"Name": "lib", "Arch": "noarch", "Evr": "1-1", "Repo": "@System"} in listed and len(listed) == 3
    [info] = json.loads(host.run("--json", "info", "base").stdout)
    assert info["Summary"] == "Package base" and info["License"] == "MIT" and info["InstallSize"] > 0
    assert json.loads(host.run("--json", "repolist").stdout) == [
        {"Repo": "main", "RepoName": "Repository main", "Enabled": True}
    ]
    plan = json.loads(host.run("--json", "-y", "install", "app").stdout)
    assert [package["Name"] for package in plan["Install"]] == ["app"]
    assert json.loads(host.run("--json", "install", "nothing-such", code=1).stdout)["Error"] == 1
    assert host.run("--version").stdout == "tdnf: 1.0.0\n"


def test_advisories_are_listed_and_followed_alone(lab: Lab) -> None:
    host = lab.host
    lab.start("app", "lib")
    host.run("-y", "install", "app")
    lab.publish("app2", "lib2", updateinfo=ADVISORY)
    host.run("--refresh", "check-update", code=100)
    assert "1 security notice(s)" in host.run("updateinfo").stdout
    assert "ADV-2026-1" in host.run("updateinfo", "--list", "--cve=CVE-2026-1").stdout
    assert host.run("updateinfo", "--list", "--cve=CVE-2026-2").stdout == ""
    [found] = json.loads(host.run("--json", "updateinfo", "--info").stdout)
    assert found["CVEs"] == ["CVE-2026-1"] and found["Packages"] == ["lib-2-1.noarch"]
    assert "lib.noarch" in host.run("--security", "check-update", code=100).stdout
    host.run("-y", "--security", "upgrade")
    assert host.installed() == ["app-1-1", "lib-2-1"]
    host.run("--security", "check-update")


def test_kernels_are_installed_side_by_side_and_the_oldest_goes(lab: Lab) -> None:
    host = lab.host
    options = ["--setopt=installonlypkgs=kernel", "--setopt=installonly_limit=2"]
    lab.start("kernel1")
    host.run("-y", *options, "install", "kernel")
    lab.publish("kernel2")
    host.run("-y", "--refresh", *options, "upgrade")
    assert host.installed() == ["kernel-1-1", "kernel-2-1"]
    lab.publish("kernel3")
    host.run("-y", "--refresh", *options, "upgrade")
    assert host.installed() == ["kernel-2-1", "kernel-3-1"]
    assert "Check completed" in host.run(*options, "check").stdout


def test_protected_packages_stay(lab: Lab) -> None:
    host = lab.host
    lab.start("app", "lib")
    host.run("-y", "install", "app")
    (host.root / "etc/tdnf/protected.d").mkdir()
    (host.root / "etc/tdnf/protected.d/own.conf").write_text("app\n", encoding="utf-8")
    said = host.run("-y", "remove", "lib", code=1).stderr
    assert "would remove a protected package" in said and "app-1-1" in said and "hint:" in said
    assert host.installed() == ["app-1-1", "lib-1-1"]


def test_an_obsoleting_package_takes_the_place_of_the_old_one(lab: Lab) -> None:
    lab.start("base")
    lab.host.run("-y", "install", "base")
    lab.publish("renamed")
    lab.host.run("-y", "--refresh", "upgrade")
    assert lab.host.installed() == ["renamed-1-1"]


def test_repositories_are_switched_weighed_and_filled_in(lab: Lab) -> None:
    host = lab.host
    lab.start("app", "lib")
    (lab.web.folder / "1.0" / "x86_64").mkdir(parents=True)
    (lab.repository).rename(lab.web.folder / "1.0" / "x86_64" / "colour-blue")
    (host.root / "etc/tdnf/vars").mkdir()
    (host.root / "etc/tdnf/vars/colour").write_text("blue\n", encoding="utf-8")
    host.repo("main", f"{lab.web.url}/$releasever/$basearch/colour-${{colour}}", key=lab.key)
    lab.publish("app2", "lib2")
    host.repo("other", lab.url, "enabled=0", key=lab.key)
    assert "2-1" not in host.run("list", "app").stdout
    assert "2-1" in host.run("--enablerepo=oth*", "list", "app").stdout
    last = ["--enablerepo=other", "--setopt=other.priority=99"]
    assert "2-1" not in host.run(*last, "--assumeno", "install", "app", code=1).stdout
    assert host.run("--disablerepo=*", "list").stdout == ""
    assert "no repository has this id" in host.run("--enablerepo=none", "list", code=1).stderr
    host.run("-y", "--repo=other", "-x", "app-2*", "install", "app", code=1)


def test_a_package_by_its_address(lab: Lab) -> None:
    """As by dnf: fetched, checked, installed with what it needs from the repositories."""
    host = lab.host
    lab.start("lib")
    (folder := lab.web.folder / "elsewhere").mkdir()
    shutil.copy(lab.file("app"), folder)
    url = f"{lab.web.url}/elsewhere"
    host.run("-y", "install", f"{url}/app-1-1.noarch.rpm")
    assert host.installed() == ["app-1-1", "lib-1-1"]
    assert not (host.root / "var/cache/tdnf/@commandline").exists()
    shutil.copy(lab.unsigned / "base-1-1.noarch.rpm", folder)
    said = host.run("-y", "install", f"{url}/base-1-1.noarch.rpm", code=1).stderr
    assert "the package is not signed" in said and "hint: " in said
    said = host.run("-y", "install", f"{url}/nothing-1-1.noarch.rpm", code=1).stderr
    assert "404" in said and f"where: {url}/nothing-1-1.noarch.rpm" in said
    assert host.installed() == ["app-1-1", "lib-1-1"]
    host.run("-y", "--nogpgcheck", "install", f"{url}/base-1-1.noarch.rpm")
    assert host.installed() == ["app-1-1", "base-1-1", "lib-1-1"]


def test_only_downloads(lab: Lab) -> None:
    host = lab.host
    lab.start("app", "lib")
    host.run("-y", "install", "--downloadonly", "--downloaddir=/lab/there", "app")
    host.run("download", "--destdir=/lab/here", "app")
    both = ["app-1-1.noarch.rpm", "lib-1-1.noarch.rpm"]
    assert sorted(path.name for path in (host.work / "there").iterdir()) == both
    assert [path.name for path in (host.work / "here").iterdir()] == ["app-1-1.noarch.rpm"]
    assert host.run("download", "--url", "app").stdout == f"{lab.url}/app-1-1.noarch.rpm\n"
    assert host.installed() == []
    host.run("-y", "-C", "install", "/lab/there/app-1-1.noarch.rpm", "/lab/there/lib-1-1.noarch.rpm")
    assert host.installed() == ["app-1-1", "lib-1-1"]
    host.run("clean", "all")
    assert list((host.root / "var/cache/tdnf").iterdir()) == []


def test_a_file_that_only_the_long_list_has(lab: Lab) -> None:
    lab.start("app", "lib", "deep")
    lab.host.run("-y", "install", "deep")
    assert lab.host.installed() == ["app-1-1", "deep-1-1", "lib-1-1"]
