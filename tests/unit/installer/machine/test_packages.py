"""Packages that a kickstart adds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from photonbuild.errors import ConfigError
from photonbuild.installer.errors import FetchError, KickstartError, PackageError
from photonbuild.installer.fetch.fetcher import Fetcher
from photonbuild.installer.fetch.source import parse_source
from photonbuild.installer.machine.gather import user_arguments
from photonbuild.installer.machine.packages import (
    folder_packages,
    listed_packages,
    missing_programs,
    repository_keys,
)
from tests.support.installer import GOOD, FakeMachine, answer_of_tdnf, configure, kickstart

REPOS = {"own": {"baseurl": "cdrom:/repo"}}
TDNF = "tdnf --config=/run/work/tdnf/tdnf.conf --assumeyes --json"


@pytest.fixture
def with_repository(fake: FakeMachine) -> FakeMachine:
    (fake.folder / "medium/repo/repodata").mkdir(parents=True)
    (fake.folder / "medium/repo/repodata/repomd.xml").touch()
    return fake


def test_programs_for_file_systems_come_by_themselves(fake: FakeMachine) -> None:
    lvm = {"mountpoint": "/var", "size": 400, "filesystem": "xfs", "lvm": {"vg_name": "g", "lv_name": "v"}}
    wanted = kickstart(partitions=[{"mountpoint": "/", "size": 0}, lvm])
    known = frozenset({"ext4", "xfs"})
    both = ["/usr/sbin/lvm", "/usr/sbin/fsck.xfs"]
    assert sorted(missing_programs(wanted, fake.paths, known)) == sorted(both)
    assert missing_programs(wanted, fake.paths, frozenset({"ext4"})) == both[:1]
    for path in both:
        (fake.paths.root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (fake.paths.root / path[1:]).touch()
    assert missing_programs(wanted, fake.paths, known) == []


def test_programs_for_what_is_encrypted_come_by_themselves(fake: FakeMachine) -> None:
    data = {"mountpoint": "/data", "size": 400, "luks": {}}
    root = {"mountpoint": "/", "size": 0}
    known = frozenset({"ext4"})
    assert missing_programs(kickstart(partitions=[root, data]), fake.paths, known) == ["/usr/bin/systemd-cryptsetup"]
    boot = {"mountpoint": "/boot", "size": 200}
    assert missing_programs(kickstart(partitions=[boot, {**root, "luks": {}}]), fake.paths, known) == [
        "/usr/sbin/update-initramfs",
        "/usr/bin/systemd-cryptsetup",
    ]


def test_packages_from_a_repository(with_repository: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    fake = with_repository
    answer_of_tdnf(fake, "a-1-1.noarch", "b-1-1.noarch", listed=["a=1-1", "b=1-1"])
    data = {**GOOD, "packages": ["a", "filesystem", "filesystem=1.0-1"], "repos": REPOS}
    assert fake.install(data) == 0, capfd.readouterr().out
    asked = [line for line in fake.called() if line.startswith("tdnf")]
    options = "--downloadonly --downloaddir=/run/work/packages"
    assert asked == [f"{TDNF} list --available", f"{TDNF} {options} install a"]
    tests, installs = [line for line in fake.called() if "--install" in line]
    both = "/run/work/packages/a-1-1.noarch.rpm /run/work/packages/b-1-1.noarch.rpm"
    assert tests == f"rpm --root / --install --test --ignoresize {both}"
    assert installs == f"rpm --root /run/target --install {both}"
    configure(fake, rpm="error: file /x of a-1 conflicts with file from package b-1")
    fake.calls.unlink()
    assert fake.install(data) == PackageError.exit_code
    assert "file /x of a-1 conflicts with file from package b-1" in capfd.readouterr().out
    assert not any(line.startswith("sfdisk") for line in fake.called())


def test_the_system_stays_as_it_is_but_for_versions_that_are_named(with_repository: FakeMachine) -> None:
    fake = with_repository
    answer_of_tdnf(fake, "a-1-1.noarch")
    for packages, excluded in ((["a"], "filesystem"), (["a", "filesystem=9"], "")):
        assert fake.install({**GOOD, "packages": packages, "repos": REPOS}, "--dry-run") == 0
        settings = (fake.paths.work / "tdnf/tdnf.conf").read_text()
        assert f"\nexcludepkgs={excluded}\n" in settings and "\ninstall_weak_deps=0\n" in settings


def test_what_tdnf_cannot_fetch(with_repository: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    folder = with_repository.folder / "medium/repo"
    said = f"error: what was downloaded has not the digest\n  where: file://{folder}/a.rpm\n\nhint: tdnf clean\n"
    answer_of_tdnf(with_repository, said=said)
    assert with_repository.install({**GOOD, "packages": ["a"], "repos": REPOS}) == 4
    shown = capfd.readouterr().out
    assert "error: cdrom:/repo/a.rpm: what was downloaded has not the digest\nhint: the repository was changed" in shown
    assert not any(line.startswith("sfdisk") for line in with_repository.called())


def test_lists_folders_and_keys(fake: FakeMachine) -> None:
    """Packages of lists in JSON and YAML, without other kernels; files of a folder; keys of a repository."""
    medium = fake.folder / "medium"
    (medium / "lists").mkdir()
    (medium / "lists/one.json").write_text('{"packages": ["a", "linux-esx"], "packages_x86_64": ["b"]}')
    (medium / "lists/two.yaml").write_text("packages: [a, c]\n")
    (medium / "rpms").mkdir()
    (medium / "rpms/x.rpm").write_text("x")
    (medium / "key.asc").write_text("key")
    repos = {"own": {"baseurl": "https://h/r", "gpgcheck": 1, "gpgkey": "key.asc"}}
    found = kickstart(
        packages=["z"],
        packagelist_files=["one.json", "two.yaml"],
        search_path=["/mnt/media/lists"],
        additional_rpms_path="/mnt/media/rpms",
        repos=repos,
    )
    base = parse_source("cdrom:/ks.json")
    with Fetcher(paths=fake.paths, blocks=fake.folder / "sys/class/block") as fetcher:
        assert listed_packages(found, fetcher, base) == ("z", "a", "b", "c")
        assert folder_packages(found, fetcher, base) == (medium / "rpms/x.rpm",)
        assert repository_keys(found, fetcher, base) == {"own": [medium / "key.asc"]}
        (medium / "lists/two.yaml").write_text("packages: [a, c]\npackges: []\n")
        with pytest.raises(ConfigError, match="unknown key 'packges', did you mean 'packages'"):
            listed_packages(found, fetcher, base)
        with pytest.raises(FetchError, match="is in none of 2 places"):
            listed_packages(replace(found, packagelist_files=("none.json",)), fetcher, base)


def test_words_for_the_kernel() -> None:
    text = "# of the user\nlevel=5\nuser_cmdline=loglevel=$level audit=0\n"
    assert user_arguments(text, "user.cfg") == ("loglevel=5", "audit=0")
    with pytest.raises(KickstartError, match="NAME=VALUE is expected"):
        user_arguments("user_cmdline\n", "user.cfg")
    with pytest.raises(KickstartError, match="cannot stand in GRUB's menu"):
        user_arguments("user_cmdline=a;reboot\n", "user.cfg")
