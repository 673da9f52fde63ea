"""Bad input to tdnf: each is one clear error with what, where and hint, and nothing is half-done."""

from __future__ import annotations

import fcntl
import random
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.files import sha256_of
from tests.integration.tdnf_fixtures import Lab, certificate, lab, later_certificate, layers, made
from tests.support.faulty_web import web
from tests.support.tdnf_lab import Key, sign_metadata

__all__ = ["certificate", "lab", "later_certificate", "layers", "made"]


def refused(lab: Lab, *words: str, code: int = 1) -> str:
    """What tdnf says; an error has what, where and hint, and nothing is installed by it."""
    before = lab.host.installed()
    said = lab.host.run(*words, code=code).stderr
    assert "error: " in said and "where: " in said and "hint: " in said, said
    assert lab.host.installed() == before
    return said


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[main\nbaseurl=http://a\n", "broken.repo:1"),
        ("baseurl=http://a\n", "before the first section"),
        ("[a]\nname=A\nbaseurl=http://a\nenabled=perhaps\n", "broken.repo:4"),
        ("[a]\nname=A\n", "has no address"),
        ("[a]\nmetalink=http://a\n", "metalinks are not read"),
        ("[a]\nbaseurl=gopher://a\n", "address that is none"),
        ("[a]\nbaseurl=http://a/$nothing\n", "variable that is not known"),
        ("[a]\nbaseurl=http://a\npriority=-x\n", "is no number"),
        ("[../a]\nbaseurl=http://a\n", "cannot be the id"),
        ("[a]\nbaseurl=http://a\n[a]\nbaseurl=http://a\n", "is there twice"),
        ("[a]\nnonsense\n", "neither a section nor a setting"),
    ],
)
def test_a_broken_repo_file(lab: Lab, text: str, what: str) -> None:
    (lab.host.root / "etc/yum.repos.d/broken.repo").write_text(text, encoding="utf-8")
    assert what in refused(lab, "list")


def test_a_command_line_that_is_wrong(lab: Lab) -> None:
    for words in (["nosuch"], ["--nosuch", "list"], ["install"], ["clean", "nosuch"], ["history", "undo"]):
        refused(lab, *words, code=2)


def test_the_next_mirror_takes_over(lab: Lab) -> None:
    lab.publish("app", "lib")
    (lab.web.folder / "list").write_text(f"# mirrors\nhttp://127.0.0.1:9/main\n{lab.url}\n", encoding="utf-8")
    path = lab.host.root / "etc/yum.repos.d/main.repo"
    lab.host.repo("main", f"http://127.0.0.1:9/gone\n  {lab.web.url}/nowhere {lab.url}", key=lab.key)
    said = lab.host.run("-y", "makecache").stderr
    assert "trying" in said
    text = path.read_text(encoding="utf-8").split("baseurl=")[0] + f"mirrorlist={lab.web.url}/list\n"
    path.write_text(text + "gpgkey=file:///lab/keys/main.asc\n", encoding="utf-8")
    lab.host.run("-y", "--refresh", "install", "app")
    assert lab.host.installed() == ["app-1-1", "lib-1-1"]


def test_no_mirror_is_left(lab: Lab) -> None:
    lab.host.repo("main", "http://127.0.0.1:9/gone")
    assert "http://127.0.0.1:9/gone" in refused(lab, "makecache")
    lab.host.repo("main", "http://127.0.0.1:9/gone", "skip_if_unavailable=1")
    assert "is left out" in lab.host.run("makecache").stderr


def test_downloads_that_were_cut_go_on(lab: Lab) -> None:
    lab.start("big")
    lab.web.cut["big-1-1.noarch.rpm"] = 150000
    lab.host.run("-y", "install", "big")
    assert lab.web.ranges == ["/main/big-1-1.noarch.rpm bytes=150000-"]
    assert lab.host.installed() == ["big-1-1"]


def test_a_download_that_was_cut_goes_on_in_the_next_run(lab: Lab) -> None:
    lab.start("big")
    lab.web.cut["big-1-1.noarch.rpm"] = 150000
    refused(lab, "-y", "--setopt=main.retries=1", "install", "big")
    lab.host.run("-y", "install", "big")
    assert lab.web.ranges == ["/main/big-1-1.noarch.rpm bytes=150000-"]


def test_the_beginning_of_another_file_is_thrown_away(lab: Lab) -> None:
    lab.start("big")
    folder = lab.host.root / "var/cache/tdnf/main/rpms"
    folder.mkdir(parents=True)
    (folder / "big-1-1.noarch.rpm.part").write_bytes(b"x" * 1000)
    lab.host.run("-y", "install", "big")
    assert lab.host.installed() == ["big-1-1"]


def test_a_package_that_was_altered(lab: Lab) -> None:
    lab.start("app", "lib")
    lab.web.changed.add("app-1-1.noarch.rpm")
    assert "has not the digest" in refused(lab, "-y", "install", "app")


def test_a_package_that_was_altered_before_it_was_listed(lab: Lab) -> None:
    """Signed metadata name the bytes, but the package's own signature is wrong."""
    lab.start("app", "lib")
    path = lab.repository / "app-1-1.noarch.rpm"
    data = path.read_bytes().replace(b"Package app", b"Package bad")
    path.write_bytes(data)
    lab.publish("lib")
    assert "not" in refused(lab, "-y", "--refresh", "install", "app")


def test_a_package_that_is_not_signed(lab: Lab) -> None:
    lab.start("app", "lib")
    shutil.copy(lab.unsigned / "app-1-1.noarch.rpm", lab.repository)
    lab.publish("lib")
    assert "not signed" in refused(lab, "-y", "--refresh", "install", "app")
    lab.host.run("-y", "--nogpgcheck", "install", "app")


def test_a_package_by_an_unknown_key(lab: Lab) -> None:
    lab.start("lib")
    other = Key.new(lab.host.work / "other", "Other")
    other.sign_rpm(lab.unsigned / "base-1-1.noarch.rpm", lab.repository / "base-1-1.noarch.rpm")
    lab.publish("lib")
    said = refused(lab, "-y", "--refresh", "install", "base")
    assert "key" in said and "base-1-1" in said


def test_metadata_that_are_not_signed(lab: Lab) -> None:
    lab.publish("app")
    sign_metadata(lab.repository, None)
    lab.host.repo("main", lab.url, key=lab.key)
    assert "the metadata are not signed" in refused(lab, "-y", "makecache")
    lab.host.repo("main", lab.url, "repo_gpgcheck=0", key=lab.key)
    lab.host.run("-y", "makecache")


def test_metadata_that_were_altered(lab: Lab) -> None:
    lab.start("app", "lib")
    repomd = lab.repository / "repodata/repomd.xml"
    repomd.write_text(repomd.read_text(encoding="utf-8") + "<!-- -->\n", encoding="utf-8")
    assert "signature of the metadata is wrong" in refused(lab, "-y", "makecache")


def test_the_signature_of_another_index(lab: Lab) -> None:
    """The publication changed between the two requests. Its publisher keeps each signature under a name of its own."""
    lab.start("app", "lib")
    folder = lab.repository / "repodata"
    old = (folder / "repomd.xml.asc").read_bytes()
    lab.publish("app2", "lib2", revision=int(time.time()) + 10)
    new = (folder / "repomd.xml.asc").read_bytes()
    (folder / "repomd.xml.asc").write_bytes(old)
    assert "signature of the metadata is wrong" in refused(lab, "makecache")
    own = folder / f"{sha256_of(folder / 'repomd.xml')}-repomd.xml.asc"
    own.write_bytes(old)
    assert "signature of the metadata is wrong" in refused(lab, "makecache")
    own.write_bytes(new)
    lab.host.run("-y", "--refresh", "install", "app")
    assert lab.host.installed() == ["app-2-1", "lib-2-1"]
    # What was kept is the right one.
    lab.host.run("-C", "list")


def test_a_list_of_packages_that_was_altered(lab: Lab) -> None:
    lab.publish("app", "lib")
    lab.web.changed.add("primary.xml.gz")
    lab.host.repo("main", lab.url, key=lab.key)
    assert "has not the digest" in refused(lab, "-y", "makecache")


def test_metadata_by_another_key(lab: Lab) -> None:
    lab.start("app", "lib")
    sign_metadata(lab.repository, Key.new(lab.host.work / "other", "Other"))
    assert "gpgkey= does not name" in refused(lab, "-y", "makecache")


@pytest.mark.long
def test_a_key_that_has_expired(lab: Lab) -> None:
    old = Key.new(lab.host.work / "old", "Old", expire="seconds=20")
    lab.publish("app", "lib")
    sign_metadata(lab.repository, old)
    made_at = time.monotonic()
    lab.host.repo("main", lab.url, key=old)
    time.sleep(max(0.0, 22 - (time.monotonic() - made_at)))
    said = refused(lab, "-y", "makecache")
    assert "expired" in said


def test_a_key_that_was_revoked(lab: Lab) -> None:
    other = Key.new(lab.host.work / "other", "Other")
    lab.publish("app", "lib")
    sign_metadata(lab.repository, other)
    other.revoke()
    lab.host.repo("main", lab.url, key=other)
    assert "revoked" in refused(lab, "-y", "makecache")


def test_a_certificate_that_is_not_valid(lab: Lab, certificate: Path) -> None:
    with web(lab.web.folder, certificate) as served:
        lab.publish("app", "lib")
        lab.host.repo("main", f"{served.url}/main", key=lab.key)
        said = refused(lab, "-y", "makecache")
        assert "certificate" in said and "sslcacert=" in said
        shutil.copy(certificate.with_name("certificate.pem"), lab.host.work / "keys")
        lab.host.repo("main", f"{served.url}/main", "sslcacert=/lab/keys/certificate.pem", key=lab.key)
        lab.host.run("-y", "install", "app")
        lab.host.repo("main", f"{served.url}/main", "sslverify=0", key=lab.key)
        lab.host.run("--refresh", "list")


def test_a_clock_in_the_past(lab: Lab, later_certificate: Path) -> None:
    """To a machine whose clock is behind, all that was made since is of the future."""
    lab.publish("app", "lib")
    with web(lab.web.folder, later_certificate) as served:
        shutil.copy(later_certificate.with_name("certificate.pem"), lab.host.work / "keys")
        lab.host.repo("main", f"{served.url}/main", "sslcacert=/lab/keys/certificate.pem", key=lab.key)
        said = refused(lab, "-y", "makecache")
        assert "certificate is not yet valid" in said and "a clock that is wrong" in said
    later = Key.new(lab.host.work / "key", "Later", at="20400101T000000!")
    sign_metadata(lab.repository, later)
    lab.host.repo("main", lab.url, key=later)
    assert "the clock is wrong" in refused(lab, "-y", "makecache")
    # The key is known and good, only the signature is of the future.
    lab.start("app", "lib")
    sign_metadata(lab.repository, replace(lab.key, at="20400101T000000!"))
    assert "the clock is wrong" in refused(lab, "-y", "makecache")


def test_a_repository_that_goes_back_in_time(lab: Lab) -> None:
    now = int(time.time())
    lab.start("app", "lib")
    lab.publish("app", "lib", revision=now - 86400)
    assert "older than those that were seen" in refused(lab, "-y", "makecache")
    lab.host.run("clean", "all")
    assert "older than those that were seen" in refused(lab, "-y", "makecache")
    lab.publish("app", "lib", revision=now + 10)
    lab.host.run("makecache")
    # Another address is another repository: a snapshot that a fleet is pinned to.
    shutil.copytree(lab.repository, lab.web.folder / "snapshot")
    lab.publish("app", "lib", revision=now - 86400)
    lab.host.repo("main", f"{lab.url}/", key=lab.key)
    lab.host.run("makecache")


def test_a_page_for_people(lab: Lab) -> None:
    (lab.repository / "repodata").mkdir(parents=True)
    (lab.repository / "repodata/repomd.xml").write_text("<html><p>Welcome<br></html>", encoding="utf-8")
    lab.host.repo("main", lab.url, "repo_gpgcheck=0")
    assert "repomd.xml" in refused(lab, "makecache")


def test_a_package_that_needs_what_is_not_there(lab: Lab) -> None:
    lab.start("lonely", "app")
    said = lab.host.run("-y", "install", "lonely", code=1).stderr
    assert "nothing provides nowhere needed by lonely-1-1.noarch" in said and "hint: " in said
    assert "nothing provides lib needed by app-1-1.noarch" in lab.host.run("-y", "install", "app", code=1).stderr


def test_two_packages_with_the_same_file(lab: Lab) -> None:
    lab.start("base", "clash")
    lab.host.run("-y", "install", "base")
    said = lab.host.run("-y", "install", "clash", code=1).stderr
    assert "/usr/share/base/version" in said and "hint: " in said
    assert lab.host.installed() == ["base-1-1"]
    assert "Check completed" in lab.host.run("check").stdout


def test_a_name_and_a_password(lab: Lab) -> None:
    lab.publish("app")
    lab.web.password = "Basic bWU6c2VjcmV0"
    lab.host.repo("main", lab.url, key=lab.key)
    assert "username=" in refused(lab, "-y", "makecache")
    lab.host.repo("main", lab.url, "username=me", "password=secret", key=lab.key)
    done = lab.host.run("-y", "-v", "makecache")
    assert "secret" not in done.stdout + done.stderr
    lab.host.repo("main", lab.url.replace("//", "//me:secret@"), key=lab.key)
    lab.host.run("-y", "--setopt=main.password=secret", "install", "app", code=1)
    lab.publish("lib")
    lab.host.run("-y", "--refresh", "--setopt=main.password=secret", "install", "app")
    lab.web.missing.add("repomd.xml")
    assert "secret" not in refused(lab, "makecache")
    kept = [path for path in (lab.host.root / "var/lib/tdnf").rglob("*") if path.is_file()]
    assert kept and not any(b"secret" in path.read_bytes() for path in kept)


def test_another_one_runs(lab: Lab) -> None:
    lab.start("app", "lib")
    with (lab.host.root / "var/lib/tdnf/lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "tdnf runs already" in refused(lab, "-y", "--setopt=exit_on_lock=1", "install", "app", code=200)
    lab.host.run("-y", "install", "app")


def test_a_full_disk(lab: Lab) -> None:
    """The cache is on the tmpfs of the sandbox, which is as small as this test wants it."""
    lab.start("big", "base")
    cache = lab.host.root / "var/cache/tdnf"
    shutil.rmtree(cache)
    cache.symlink_to("/var/cache/tdnf")
    small = replace(lab.host.sandbox, tmpfs_size="200k")
    done = small.run(["tdnf", "--installroot", "/lab/root", "-y", "install", "big"], check=False)
    assert done.returncode == 1 and "the disk is too full" in done.stderr and "hint: " in done.stderr
    assert lab.host.installed() == []
    lab.host.run("-y", "install", "big")


def test_a_disk_that_fills_up_while_something_is_downloaded(lab: Lab) -> None:
    lab.start("big", "base")
    cache = lab.host.root / "var/cache/tdnf"
    shutil.rmtree(cache)
    cache.symlink_to("/var/cache/tdnf")
    small = replace(lab.host.sandbox, tmpfs_size="200k")
    argv = ["tdnf", "--installroot", "/lab/root", "-y", "download", "--destdir=/var/tmp", "big", "big-1-1"]
    fill = "tdnf --installroot /lab/root -q makecache; cat /dev/zero > /var/tmp/full 2> /dev/null;"
    done = small.run(["bash", "-c", f"{fill} {shlex.join(argv)}"], check=False)
    assert done.returncode == 1 and "error: " in done.stderr and "hint: " in done.stderr


def test_a_disk_that_is_too_small_for_a_package(lab: Lab) -> None:
    """The root is on the tmpfs of the sandbox; librpm counts before anything is changed."""
    shutil.copy(lab.file("huge"), lab.host.work / "huge.rpm")
    small = replace(lab.host.sandbox, tmpfs_size="20m")
    tdnf = "tdnf --installroot /small --nogpgcheck -y install /lab/huge.rpm"
    done = small.run(["bash", "-c", f"{tdnf}; code=$?; rpm --root /small -qa; exit $code"], check=False)
    assert done.returncode == 1, done.stdout
    assert "more space on" in done.stderr and "nothing was changed" in done.stderr and "hint: " in done.stderr
    assert "huge-1-1" not in done.stdout.splitlines()


def test_a_disk_that_fills_up_in_the_middle_of_a_transaction(lab: Lab) -> None:
    """There was room when librpm counted; a script of the first package takes what the second needs."""
    for name in ("filler", "after"):
        shutil.copy(lab.file(name), lab.host.work / f"{name}.rpm")
    script = """
        tdnf="tdnf --installroot /small --nogpgcheck -y"
        mkdir -p /small && touch /small/fill
        $tdnf install /lab/filler.rpm /lab/after.rpm; echo "code $?"
        rpm --root /small -qa; rm /small/fill /small/usr/share/full
        echo -- again
        $tdnf install /lab/filler.rpm /lab/after.rpm; echo "code $?"
        $tdnf check; rpm --root /small -qa; rpm --root /small -Va
    """
    done = replace(lab.host.sandbox, tmpfs_size="20m").run(["bash", "-c", script], check=False)
    first, again = done.stdout.split("-- again\n")
    assert "code 1\n" in first and "after-1-1" not in first.split("code 1\n")[1], done.stdout + done.stderr
    assert "No space left on device" in done.stderr and "the same command again goes on" in done.stderr, done.stderr
    *_, one, two, three = again.splitlines()
    assert "code 0\n" in again and "Check completed" in one, done.stdout + done.stderr
    assert sorted([two, three]) == ["after-1-1.noarch", "filler-1-1.noarch"]


def test_a_transaction_that_was_cut_is_finished_by_the_next_command(lab: Lab) -> None:
    host = lab.host
    lab.start("app", "lib", "base")
    host.run("-y", "install", "app")
    protected = host.root / "etc/tdnf/protected.d/lib.conf"
    protected.parent.mkdir(parents=True, exist_ok=True)
    protected.write_text("lib\n", encoding="utf-8")
    lab.publish("app3", "lib3")
    (host.root / "wait").touch()
    process = host.start("-y", "--refresh", "upgrade")
    new = host.root / "usr/share/lib/version"
    wait_for(lambda: new.read_text(encoding="utf-8") == "lib 3\n")
    process.kill()
    process.wait(30)
    (host.root / "wait").unlink()
    said = host.run("check", code=1).stdout
    assert "was cut" in said
    host.run("-y", "upgrade")
    assert host.installed() == ["app-3-1", "lib-3-1"]
    assert "Check completed" in host.run("check").stdout
    # The script that was cut ran to its end.
    assert (host.root / "usr/share/lib.done").exists()


@pytest.mark.parametrize("seed", range(8))
def test_killed_at_any_moment_the_same_command_again_mends_it(lab: Lab, seed: int) -> None:
    host = lab.host
    lab.start("app", "lib", "base", "big")
    host.run("-y", "install", "app", "base", "big")
    lab.publish("app3", "lib3", "renamed")
    (host.root / "slow").touch()
    process = host.start("-y", "--refresh", "upgrade")
    time.sleep(random.Random(seed).uniform(0.1, 2.5))
    process.kill()
    process.wait(30)
    (host.root / "slow").unlink()
    host.run("-y", "--refresh", "upgrade")
    assert host.installed() == ["app-3-1", "big-1-1", "lib-3-1", "renamed-1-1"]
    assert "Check completed" in host.run("check").stdout
    verified = host.sandbox.run(["rpm", "--root", "/lab/root", "-Va"], check=False)
    assert verified.stdout == "", verified.stdout


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


HOOK = """\
#!/bin/bash
echo "$0 $1 $(rpm -qa 'app*' | wc -l)" >> /said
echo "a word on stdout"
[ ! -e "/refuse-$1" ]
"""


def test_programs_around_a_transaction_of_the_running_system(lab: Lab) -> None:
    lab.publish("app", "lib")
    lab.host.repo("main", lab.url, key=lab.key)
    (lab.host.work / "hook").write_text(HOOK, encoding="utf-8")
    script = """
        set -e
        rpm --initdb; cp /lab/root/etc/yum.repos.d/*.repo /etc/yum.repos.d/
        cd /usr/lib/tdnf/transaction.d && rm -f * && for name in 20-b 10-a; do install -m 755 /lab/hook $name; done
        touch /refuse-begin
        tdnf -y install app && exit 9 || [ $? = 1 ]
        rm /refuse-begin; touch /refuse-end
        tdnf -y --json install app > /answer
        grep -q 'a word' /answer && exit 8
        cat /said; rpm -q app
    """
    done = lab.host.sandbox.run(["bash", "-c", script], check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-5:] == [
        "/usr/lib/tdnf/transaction.d/10-a begin 0",
        "/usr/lib/tdnf/transaction.d/10-a begin 0",
        "/usr/lib/tdnf/transaction.d/20-b begin 0",
        "/usr/lib/tdnf/transaction.d/10-a end 1",
        "app-1-1.noarch",
    ]
    assert "10-a: has refused the transaction, nothing was changed" in done.stderr
    assert "warning: " in done.stderr, "what comes after the packages does not undo them"
