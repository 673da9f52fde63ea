"""Packages that a kickstart adds."""

from __future__ import annotations

import pytest

from photonbuild.installer.errors import FetchError, PackageError
from photonbuild.installer.machine.packages import missing_packages
from tests.support.installer import GOOD, FakeMachine, configure, kickstart, make_repository


def test_programs_for_file_systems_come_by_themselves(fake: FakeMachine) -> None:
    lvm = {"mountpoint": "/var", "size": 400, "filesystem": "xfs", "lvm": {"vg_name": "g", "lv_name": "v"}}
    wanted = kickstart(partitions=[{"mountpoint": "/", "size": 0}, lvm])
    known = frozenset({"ext4", "xfs"})
    both = ["/usr/sbin/lvm", "/usr/sbin/fsck.xfs"]
    assert sorted(missing_packages(wanted, fake.paths, known)) == sorted(both)
    assert missing_packages(wanted, fake.paths, frozenset({"ext4"})) == both[:1]
    for path in both:
        (fake.paths.root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (fake.paths.root / path[1:]).touch()
    assert missing_packages(wanted, fake.paths, known) == []


def test_packages_from_a_repository(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    make_repository(fake.folder / "medium/repo", {("a", "1"): b"one", ("b", "1"): b"two"})
    data = {**GOOD, "packages": ["a", "filesystem"], "repos": {"own": {"baseurl": "cdrom:/repo"}}}
    assert fake.install(data) == 0, capfd.readouterr().out
    tests, installs = [line for line in fake.called() if "--install" in line]
    assert tests == "rpm --root / --install --test --ignoresize /medium/repo/a-1.rpm"
    assert installs == "rpm --root /run/target --install /medium/repo/a-1.rpm"
    configure(fake, rpm="error: Failed dependencies: \nlibb.so.1()(64bit) is needed by a-1-1.x86_64")
    fake.calls.unlink()
    assert fake.install(data) == PackageError.exit_code
    shown = capfd.readouterr().out
    assert "libb.so.1()(64bit) is needed by a-1-1.x86_64" in shown
    assert "hint: name these under 'packages' too: b" in shown
    assert not any(line.startswith("sfdisk") for line in fake.called())


def test_a_package_with_another_digest(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    folder = make_repository(fake.folder / "medium/repo", {("a", "1"): b"one"})
    (folder / "a-1.rpm").write_bytes(b"evil")
    data = {**GOOD, "packages": ["a"], "repos": {"own": {"baseurl": "cdrom:/repo"}}}
    assert fake.install(data) == FetchError.exit_code
    assert "and the repository says" in capfd.readouterr().out
    assert not any(line.startswith("sfdisk") for line in fake.called())
