"""Packages that a kickstart adds."""

from __future__ import annotations

import pytest

from photonbuild.installer.errors import PackageError
from photonbuild.installer.machine.packages import missing_programs
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
