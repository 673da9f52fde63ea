"""The installer as a program, with fake tools on PATH in a tree of its own."""

from __future__ import annotations

import json
import os
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from photonbuild.errors import PhotonbuildError
from photonbuild.installer import __main__, questions
from photonbuild.installer.errors import Declined
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.source import parse_source
from photonbuild.installer.log import Log
from photonbuild.installer.machine.facts import Disk
from photonbuild.installer.terminals import Terminals
from tests.support.installer import GIB, GOOD, HASH, KEY, MIB, FakeMachine, answer_of_tdnf, terminal


def test_an_installation(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    data = {
        **GOOD,
        "additional_files": [{"motd": "/etc/motd"}],
        "postinstall": ["echo x >etc/made"],
        "services": {"docker.service": "disabled"},
    }
    assert fake.install(data) == 0, capfd.readouterr().out
    target = fake.paths.target
    assert (target / "etc/hostname").read_text() == "h\n"
    assert (target / "etc/motd").read_text() == "hello\n"
    assert (target / "etc/made").read_text() == "x\n"
    assert (target / "etc/fstab").read_text().startswith("UUID=")
    assert (target / "root/.ssh").stat().st_mode & 0o777 == 0o700
    assert (target / "root/.ssh/authorized_keys").stat().st_mode & 0o777 == 0o600
    assert not (target / "root/.postinstall").exists()
    assert (target / "boot/efi/EFI/BOOT/BOOTX64.EFI").stat().st_size == 2000
    log = target / "var/log/installer.log"
    assert log.stat().st_mode & 0o777 == fake.paths.log.stat().st_mode & 0o777 == 0o600
    assert "installed onto" in log.read_text()
    with open(fake.disk, "rb") as handle:
        assert handle.read(2) == b"bb"
        handle.seek(MIB + 500)
        assert struct.unpack("<Q", handle.read(8)) == (2049,), "the core image knows where it lies"
    assert 'name="root"' in (fake.folder / "table").read_text()
    ends = [line for line in fake.called() if line.startswith("umount")]
    assert ends == [f"umount /run/target{path}" for path in ("/run", "/dev", "/sys", "/proc", "/boot/efi", "")]
    assert fake.called().index("sync ") < fake.called().index(ends[0])


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ({**GOOD, "hostnam": "x"}, 2, "cdrom:/ks.json:1: unknown key 'hostnam', did you mean 'hostname'"),
        ({**GOOD, "firstboot": "x"}, 2, "key 'firstboot' is not supported"),
        ({**GOOD, "ostree": {"default_repo": True}}, 5, "an OSTree cannot be installed"),
        ({**GOOD, "partitions": [{"mountpoint": "/", "size": 0, "filesystem": "btrfs"}]}, 2, "'/' is a Btrfs, where"),
        ({"disks": {"default": {"filename": "a.img", "size": 9}}}, 5, "needs a 'device'"),
        ({**GOOD, "ansible": [{"playbook": "motd"}]}, 5, "this system lacks ansible-playbook"),
        ({**GOOD, "preinstall": ["exit 3"]}, 8, "preinstall failed with exit code 3"),
        (
            {**GOOD, "hostname": "$NAME", "preinstall": ["true"]},
            2,
            "nor 'environment' sets 'NAME'",
        ),
        ({**GOOD, "hostname": "$NAME", "preinstall": ["export NAME=a_b"]}, 2, "key 'hostname': a host name"),
        ({**GOOD, "packagelist_file": "motd"}, 2, "cdrom:/motd:1: a mapping of keys to values is expected"),
        ('{"disk": }', 2, "cdrom:/ks.json:1:10: not valid JSON: expecting value"),
        ({**GOOD, "disk": "/dev/sdx"}, 10, "there is no such disk: /dev/sdx"),
        ({**GOOD, "partitions": [{"mountpoint": "/", "size": 5000}]}, 10, "and its partitions need 5035"),
        ({**GOOD, "partitions": [{"mountpoint": "/", "size": 0, "filesystem": "xfs"}]}, 5, "has no xfs"),
        ({**GOOD, "packages": ["x"]}, 7, "x: not on this medium, and no repository is named"),
        ({**GOOD, "additional_files": [{"missing": "/a"}]}, 4, "cdrom:/missing: no such file"),
        ({**GOOD, "additional_files": [{"http://h/a": "/a"}]}, 4, "http is refused"),
    ],
)
def test_nothing_is_written_when_something_is_wrong(
    fake: FakeMachine, capfd: pytest.CaptureFixture[str], data: dict[str, Any] | str, code: int, message: str
) -> None:
    assert fake.install(data) == code
    assert message in capfd.readouterr().out
    assert [line for line in fake.called() if not line.startswith(("rpm --query", "umount", "mount -o ro"))] == []
    assert fake.disk.stat().st_blocks == 0


def test_dry_run(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    assert fake.install({**GOOD, "shadow_password": HASH}, "--dry-run") == 0
    shown = capfd.readouterr().out
    assert "sfdisk --quiet" in shown and "mkfs.ext4" in shown and "/etc/fstab" in shown
    assert HASH not in shown and HASH not in fake.paths.log.read_text()
    assert fake.called() == []


def test_only_root_installs(
    fake: FakeMachine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert fake.install(GOOD) == 5
    assert "only root can" in capfd.readouterr().out


def test_an_installation_that_asks(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    for last, code in (("yes", 0), ("no", 130)):
        asked, _ = terminal(f"1\n\n{KEY}\n\n{last}\n")
        monkeypatch.setattr(Terminals, "standard", lambda asked=asked: asked)
        if fake.calls.exists():
            fake.calls.unlink()
        # The real path of the disk is in the tree of this test; the schema wants one below /dev.
        monkeypatch.setattr(__main__, "disks", lambda kernel, where: [Disk(path="/dev/sda", size=4 * GIB)])
        assert __main__.main([], paths=fake.paths, kernel=fake.kernel) == code
        assert any(line.startswith("sfdisk") for line in fake.called()) == (code == 0)


def test_the_log_must_be_writable(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    fake.paths.log.mkdir(parents=True)
    assert fake.install(GOOD) == 5
    assert "the log cannot be written" in capfd.readouterr().out


def test_what_preinstall_sets(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    """Its variables are put in, checked, and used; a password among them is nowhere to be read."""
    (fake.folder / "medium/more.sh").write_text("#!/bin/sh\nexport NAME=$NAME-two\n")
    data = {
        "disk": "$DISK",
        "hostname": "$NAME",
        "password": {"crypted": False, "text": "$SECRET"},
        "environment": {"SITE": "north"},
        "preinstall": ["export DISK=/dev/sda NAME=$SITE-one SECRET=s3cr3t", "echo the password is s3cr3t"],
        "preinstallscripts": ["more.sh"],
        "log_level": "debug",
    }
    assert fake.install(data) == 0, capfd.readouterr().out
    assert (fake.paths.target / "etc/hostname").read_text() == "north-one-two\n"
    shadow = (fake.paths.target / "etc/shadow").read_text()
    assert shadow.startswith("root:$6$")
    texts = [capfd.readouterr().out, fake.paths.log.read_text(), shadow, "\n".join(fake.called())]
    assert "the password is ***" in texts[1]
    assert [text.count("s3cr3t") for text in texts] == [0, 0, 0, 0]


def test_a_plain_password_is_nowhere_to_be_read(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    assert fake.install({**GOOD, "password": {"crypted": False, "text": "s3cr3t"}, "log_level": "debug"}) == 0
    shown = capfd.readouterr().out
    assert "the password stands here in plain text" in shown
    assert "s3cr3t" not in shown + fake.paths.log.read_text() + (fake.paths.target / "etc/shadow").read_text()


def test_parameters(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    (fake.folder / "medium/ks.yaml").write_text("disk: /dev/sda\nhostname: !param name\n")
    words = ["-k", "cdrom:/ks.yaml", "--dry-run"]
    assert __main__.main([*words, "--param", "name=n1"], paths=fake.paths, kernel=fake.kernel) == 0
    assert "| n1" in capfd.readouterr().out
    assert __main__.main(words, paths=fake.paths, kernel=fake.kernel) == 2
    assert "cdrom:/ks.yaml:2: not valid YAML: no value for the parameter 'name'" in capfd.readouterr().out
    assert __main__.main([*words, "--param", "nam=1", "--param", "name=x"], paths=fake.paths, kernel=fake.kernel) == 2
    assert "no parameter 'nam', did you mean 'name'" in capfd.readouterr().out


def test_files_in_the_search_path(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    (fake.folder / "medium/files").mkdir()
    (fake.folder / "medium/files/deep").write_text("found\n")
    (fake.folder / "medium/files/last.sh").write_text("#!/bin/sh\n")
    data = {**GOOD, "search_path": ["/mnt/media/files"], "additional_files": [{"deep": "/etc/deep"}],
            "postinstallscripts": ["last.sh"], "prepkgsinstall": ["echo $POI_ROOT"]}  # fmt: skip
    assert fake.install(data) == 0, capfd.readouterr().out
    assert (fake.paths.target / "etc/deep").read_text() == "found\n"
    assert not (fake.paths.target / "root/.postinstall-1").exists()
    assert any(line.startswith("chroot") and line.endswith("/root/.postinstall-1") for line in fake.called())


def test_kernel_command_line() -> None:
    words = "ks=cdrom:/a ks.param=disk=/dev/vda ks.param='motd=a b'"
    assert __main__.boot_options(words).params == ("disk=/dev/vda", "motd=a b")
    words = "quiet ks=cdrom:/a ks=LABEL=b:/c insecure_installation=1 installer.poweroff installer.proxy=http://u:p@h:1"
    options = __main__.boot_options(words)
    assert options == __main__.Options(kickstart="LABEL=b:/c", insecure=True, poweroff=True, proxy="http://u:p@h:1")
    assert __main__.boot_options("installer") == __main__.Options()


def test_a_mistake_of_ours_is_no_traceback(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", lambda text: None)
    error = __main__.reportable(ZeroDivisionError("x"), log)
    assert type(error) is PhotonbuildError and "ZeroDivisionError" in error.message
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


def test_the_secrets_of_urls_are_nowhere_to_be_read(
    fake: FakeMachine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of kickstart, file, repository and a script's own output; in the log, on the console, on the disk."""
    monkeypatch.setattr(__main__, "ONLINE", ("/nonexistent",))
    secret = "s3cr3t"
    data = {**GOOD, "postinstall": [f"echo https://h/x?{secret}"], "log_level": "debug"}
    assert fake.install(data) == 0
    answer_of_tdnf(fake, said="error: cannot be downloaded: x\n  where: https://127.0.0.1:9/r/repodata/repomd.xml\n")
    for words in (
        {"additional_files": [{f"https://u:{secret}@127.0.0.1:9/f?t={secret}": "/a"}]},
        {"packages": ["x"], "repos": {"r": {"baseurl": f"https://u:{secret}@127.0.0.1:9/r"}}},
    ):
        assert fake.install({**GOOD, **words}) == 4
    assert secret in (fake.paths.work / "tdnf/repos/r.repo").read_text()
    source = f"https://u:{secret}@127.0.0.1:9/ks.json?t={secret}"
    assert __main__.main(["-k", source], paths=fake.paths, kernel=fake.kernel) == 4
    assert __main__.main(["-k", source.replace("9/", "x/")], paths=fake.paths, kernel=fake.kernel) == 2
    shown = capfd.readouterr()
    assert any(line.startswith("tdnf") for line in fake.called())
    texts = [
        "\n".join(fake.called()),
        shown.out,
        shown.err,
        fake.paths.log.read_text(),
        (fake.paths.target / "var/log/installer.log").read_text(),
    ]
    assert "https://127.0.0.1:9/ks.json" in texts[1] and "https://h/x" in texts[4]
    assert [text.count(secret) for text in texts] == [0, 0, 0, 0, 0]
    assert fake.paths.work.stat().st_mode & 0o777 == 0o700


def test_a_kickstart_that_nobody_named_waits(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by the label of its medium; Enter stops it before anything is written."""
    monkeypatch.setattr(questions, "COUNT_DOWN", 0.5)
    (fake.folder / "medium/ks.json").write_text(json.dumps(GOOD))
    monkeypatch.setattr(Fetcher, "find_on_label", lambda self, label, names: parse_source("cdrom:/ks.json"))
    log = Log(fake.paths.log, lambda text: None)
    options = __main__.Options(label="KICKSTART")
    asked, out = terminal("")
    reader, writer = os.pipe()
    asked.pairs = [(reader, asked.pairs[0][1])]
    os.write(writer, b"typed before\n")
    shown: list[str] = []

    def press() -> None:
        while "Enter within" not in "".join(shown):
            shown.append(os.read(out, 65536).decode())
        os.write(writer, b"\r")

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(Declined, match="stopped on the console, nothing was written"):
        __main__.install(options, asked, log, fake.paths, fake.kernel, dry_run=False)
    assert not any(line.startswith(("wipefs", "sfdisk")) for line in fake.called())
    assert "as cdrom:/ks.json says; Enter within 0.5 s stops this" in "".join(shown)
    __main__.install(options, asked, log, fake.paths, fake.kernel, dry_run=False)
    assert any(line.startswith("sfdisk") for line in fake.called())
