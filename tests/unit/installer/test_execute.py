"""The steps of a plan, carried out; what fails, and what is undone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.installer.errors import MachineError, StepError
from photonbuild.installer.execute import copied_mode, inside, perform
from photonbuild.installer.log import Log
from photonbuild.installer.plan.steps import BootCode, Copy, Patch, Write
from tests.support.installer import GOOD, MIB, FakeMachine, configure, facts, paths


@pytest.mark.parametrize(
    ("failure", "title"),
    [
        ("sfdisk*", "write the partition table"),
        ("mkfs.ext4*", "make ext4 for /"),
        ("cp*", "copy the system"),
        ("chroot*", "run postinstall"),
        ("systemctl*", "enable a.service"),
    ],
)
def test_a_failing_step(fake: FakeMachine, capfd: pytest.CaptureFixture[str], failure: str, title: str) -> None:
    configure(fake, failure=failure)
    code = fake.install({**GOOD, "postinstall": ["true"], "services": {"a.service": "enabled"}})
    shown = capfd.readouterr().out
    assert code == StepError.exit_code == 8
    assert "it broke" in shown and title in shown and "failed with exit code 3" in shown
    assert f"the log is {fake.paths.log}" in shown
    assert "it broke" in fake.paths.log.read_text()
    mounted = [line.split()[-1] for line in fake.called() if line.startswith("mount")]
    unmounted = [line.split()[-1] for line in fake.called() if line.startswith("umount")]
    assert unmounted == mounted[::-1]
    copied = fake.paths.target / "var/log/installer.log"
    assert copied.exists() == (failure in ("chroot*", "systemctl*"))


def test_a_program_that_is_missing(fake: FakeMachine, capfd: pytest.CaptureFixture[str]) -> None:
    (fake.folder / "tools/mkfs.vfat").unlink()
    assert fake.install(GOOD) == MachineError.exit_code
    assert "this system lacks mkfs.vfat" in capfd.readouterr().out
    assert fake.called() == []


def test_a_link_that_leads_out_of_the_target(tmp_path: Path) -> None:
    made = paths(tmp_path)
    made.target.mkdir(parents=True)
    (made.target / "etc").symlink_to("/etc")
    with pytest.raises(StepError, match="leads out of the target"):
        inside(made, "/etc/hostname")


def test_a_file_is_replaced_and_no_link_followed(tmp_path: Path) -> None:
    made, outside = paths(tmp_path), tmp_path / "outside"
    (made.target / "etc").mkdir(parents=True)
    outside.write_text("old")
    (made.target / "etc/a").symlink_to(outside)
    log = Log(made.log, lambda text: None)
    perform(Write(title="", path="/etc/a", text="new"), replace(facts(), paths=made), log)
    assert (outside.read_text(), (made.target / "etc/a").read_text()) == ("old", "new")


def test_a_core_image_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(bytes(10))
    step = BootCode(title="", disk="/none", boot=tmp_path / "b", core=tmp_path / "core", start=MIB, size=9)
    with pytest.raises(StepError, match="has 10 bytes, and its partition 9"):
        perform(step, facts(), Log(tmp_path / "log", lambda text: None))


def test_patch(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(8))
    step = Patch(title="", device=str(tmp_path / "disk"), offset=2, content=b"ab")
    perform(step, facts(), Log(tmp_path / "log", lambda text: None))
    assert (tmp_path / "disk").read_bytes() == b"\0\0ab\0\0\0\0"


def test_a_script_that_fails_leaves_no_script(fake: FakeMachine) -> None:
    assert fake.install({**GOOD, "postinstall": ["echo token; exit 4"]}) == StepError.exit_code
    assert (fake.paths.target / "root").is_dir()
    assert not (fake.paths.target / "root/.postinstall").exists()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o600, 0o600), (0o400, 0o600), (0o444, 0o644), (0o555, 0o755), (0o640, 0o640), (0o700, 0o700), (0o4777, 0o755)],
)
def test_modes_of_copies(mode: int, expected: int) -> None:
    assert copied_mode(mode) == expected


def test_a_folder_is_copied_with_its_modes_and_into_the_target_only(tmp_path: Path) -> None:
    made, tree = paths(tmp_path), tmp_path / "tree"
    (tree / "etc/ssh").mkdir(parents=True)
    (tree / "etc/ssh/key").write_text("secret")
    (tree / "etc/ssh/key").chmod(0o400)
    (tree / "etc/ssh").chmod(0o700)
    (tree / "etc/link").symlink_to("ssh/key")
    (tree / "var/run").mkdir(parents=True)
    (tree / "etc/folder").symlink_to("ssh")
    (made.target / "etc").mkdir(parents=True, mode=0o711)
    (made.target / "etc").chmod(0o711)
    log, step = Log(made.log, lambda text: None), Copy(title="", source=tree, path="/")
    perform(step, replace(facts(), paths=made), log)
    perform(step, replace(facts(), paths=made), log)
    modes = {name: (made.target / name).stat().st_mode & 0o7777 for name in ("etc", "etc/ssh", "etc/ssh/key")}
    assert modes == {"etc": 0o711, "etc/ssh": 0o700, "etc/ssh/key": 0o600}
    assert (made.target / "etc/link").readlink() == Path("ssh/key")
    assert (made.target / "etc/folder").readlink() == Path("ssh")
    outside = tmp_path / "outside"
    outside.mkdir()
    (made.target / "var/run").rmdir()
    (made.target / "var/run").symlink_to(outside)
    (tree / "var/run/file").write_text("x")
    with pytest.raises(StepError, match="leads out of the target"):
        perform(step, replace(facts(), paths=made), log)
    assert list(outside.iterdir()) == []


def test_what_is_no_file_is_not_copied(tmp_path: Path) -> None:
    made = paths(tmp_path)
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree/pipe")
    with pytest.raises(StepError, match="neither a file nor a folder"):
        perform(
            Copy(title="", source=tmp_path / "tree", path="/srv"), replace(facts(), paths=made),
            Log(made.log, lambda text: None),
        )  # fmt: skip
