"""Root file system: the request, the answer, accounts, and the parts of the helper that need no rpm."""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import sys
from pathlib import Path
from types import ModuleType

import pytest

from photonbuild.errors import ImageError
from photonbuild.images.initramfs import dracut_argv, module_files
from photonbuild.images.inside import sysusers
from photonbuild.images.installset import InstallSet, Role
from photonbuild.images.rootfs import RootfsFile, RootfsSettings, package_binds, read_result, rootfs_request
from photonbuild.run import Completed, run
from tests.support.packages import package

EPOCH = 1767225600
FAILED = Completed(argv=("python3",), returncode=1)


def request(settings: RootfsSettings, *, tar: str | None = "/work/root.tar") -> dict[str, object]:
    packages = [package("any", Path(name)) for name in ("/s/b.rpm", "/t/a.rpm")]
    chosen = InstallSet(role=Role.ROOT, packages=packages, first=["z", "a"])
    return rootfs_request(chosen, settings=settings, epoch=EPOCH, tar=tar)


def test_request_is_sorted_and_complete() -> None:
    made = request(RootfsSettings(hostname="box", exclude_paths=["/usr/share/man/*"]))
    assert made["rpms"] == ["/rpms/a.rpm", "/rpms/b.rpm"]
    assert made["first"] == ["a", "z"]
    assert made["epoch"] == EPOCH
    assert made["default_target"] == "multi-user.target"
    assert made["exclude_paths"] == ["/usr/share/man/*"]
    assert made["files"] == [{"path": "/etc/hostname", "mode": 0o644, "text": "box\n"}]


def test_request_of_a_root_without_units_asks_for_no_target() -> None:
    made = request(RootfsSettings(unit_presets=False), tar=None)
    assert made["default_target"] is None
    assert made["tar"] is None


def test_keys_are_private_and_one_per_line() -> None:
    made = request(RootfsSettings(authorized_keys=["ssh-ed25519 A a\n", "ssh-ed25519 B b"]))
    assert {
        "path": "/root/.ssh/authorized_keys", "mode": 0o600, "text": "ssh-ed25519 A a\nssh-ed25519 B b\n"
    } in made["files"]  # type: ignore[operator]  # fmt: skip


def test_answer_of_the_helper(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text(json.dumps({"kernels": []}))
    assert read_result(result, FAILED, tmp_path / "log") == {"kernels": []}


def test_failed_scriptlet_is_named(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text(json.dumps({"error": "scriptlet %post failed", "where": "foo-1.rpm", "detail": "no such file"}))
    with pytest.raises(ImageError) as caught:
        read_result(result, FAILED, tmp_path / "log")
    assert str(caught.value) == "foo-1.rpm: scriptlet %post failed"
    assert caught.value.detail == "no such file"


def test_dead_helper_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Traceback: boom\n")
    with pytest.raises(ImageError) as caught:
        read_result(tmp_path / "none.json", FAILED, log)
    assert "exit code 1" in str(caught.value)
    assert caught.value.detail == "Traceback: boom\n"


def test_two_packages_with_one_file_name(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "a.rpm" for folder in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"file name a\.rpm"):
        package_binds(paths)


def test_dracut_is_told_nothing_of_the_building_machine() -> None:
    argv = dracut_argv(["live", "netroot"], ["--quiet"])
    assert argv[argv.index("--modules") + 1] == "live netroot"
    assert {"--reproducible", "--no-hostonly", "--no-kernel", "--quiet"} <= set(argv)


def test_module_folder_becomes_files(tmp_path: Path) -> None:
    folder = tmp_path / "90live"
    with pytest.raises(ImageError, match="no dracut module here"):
        module_files(folder)
    folder.mkdir()
    (folder / "init.sh").write_text("#!/bin/bash\n")
    expected = RootfsFile(path="/usr/lib/dracut/modules.d/90live/init.sh", text="#!/bin/bash\n", mode=0o755)
    assert module_files(folder) == (expected,)


def accounts(root: Path, *lines: str) -> None:
    made = sysusers.Accounts(root, EPOCH)
    sysusers.apply(made, list(lines))
    made.save()


def test_accounts_are_sorted_by_id_and_have_no_password(tmp_path: Path) -> None:
    accounts(tmp_path, 'u sshd 74 "OpenSSH" /var/empty', "u! dbus 28:bus -", "g bus 27", "m sshd bus", "# note", "")
    etc = tmp_path / "etc"
    assert (etc / "passwd").read_text() == (
        "dbus:x:28:27::/:/usr/sbin/nologin\nsshd:x:74:74:OpenSSH:/var/empty:/usr/sbin/nologin\n"
    )
    assert (etc / "group").read_text() == "bus:x:27:sshd\nsshd:x:74:\n"
    assert (etc / "shadow").read_text() == "dbus:!*:20454::::::\nsshd:!*:20454::::::\n"
    assert os.stat(etc / "shadow").st_mode & 0o777 == 0o600


def test_accounts_that_exist_stay(tmp_path: Path) -> None:
    accounts(tmp_path, "u foo 47 first /home/foo")
    before = (tmp_path / "etc/passwd").read_text()
    accounts(tmp_path, "u foo 47 second /elsewhere")
    assert (tmp_path / "etc/passwd").read_text() == before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["u foo - text"], "fixed id"),
        (["g a 5", "g b 5"], "already belongs to a"),
        (["u a 5", "g x 6", "u b 5:x"], "already belongs to a"),
        (["u a 5:nowhere"], "no group nowhere"),
        (["m a nowhere"], "no group nowhere"),
    ],
)
def test_accounts_refuse(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accounts(tmp_path, *lines)
    assert not (tmp_path / "etc").exists()


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The helper with the rpm bindings of the seed replaced by nothing: these tests need none of them."""
    monkeypatch.setitem(sys.modules, "rpm", ModuleType("rpm"))
    return importlib.import_module("photonbuild.images.inside.rootfs")


def test_root_is_cleaned(helper: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "TARGET", tmp_path)
    for name in ("var/log/sub/messages", "tmp/x", "etc/passwd-", "etc/passwd", "usr/share/man/man1/a.1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    helper.clean(["/usr/share/man/*"])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()) == [
        "etc/passwd"
    ]
    assert (tmp_path / "var/log/sub").is_dir()


def test_files_get_private_parents(helper: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "TARGET", tmp_path)
    helper.put_files([{"path": "/root/.ssh/authorized_keys", "mode": 0o600, "text": "k\n"}])
    assert os.stat(tmp_path / "root/.ssh").st_mode & 0o777 == 0o700
    assert os.stat(tmp_path / "root/.ssh/authorized_keys").st_mode & 0o777 == 0o600


def test_rpm_database_is_one_file(helper: ModuleType, tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "rpmdb.sqlite")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE t (a)")
    database.commit()
    database.close()
    (tmp_path / ".rpm.lock").touch()
    helper.compact_database(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rpmdb.sqlite"]


SCRIPTS = sorted((Path(__file__).parents[3] / "build/dracut").glob("90*/*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: f"{script.parent.name}/{script.name}")
def test_scripts_of_dracut_modules_parse(script: Path) -> None:
    done = run(["bash", "-n", script], check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(script, os.X_OK)
