"""Root file systems from tiny packages: real rpm transactions and scriptlets in the seed."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from photonbuild.errors import ImageError
from photonbuild.images import rootfs
from photonbuild.images.installset import InstallSet, Role
from photonbuild.images.rootfs import RootfsResult, RootfsSettings, build_rootfs
from photonbuild.images.workspace import Workspace
from photonbuild.pipeline.configuration import load_config
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds import seed
from photonbuild.store import Store
from tests.integration.conftest import PROJECT
from tests.support.packages import by_nevra

MACROS = sorted((PROJECT / "build" / "macros").glob("macros.*"))
EPOCH = 1767225600
SETTINGS = RootfsSettings(unit_presets=False, authorized_keys=["ssh-ed25519 KEY me"])
HEADER = """\
Name: {name}
Version: 1
Release: 1
Summary: Test
License: MIT
BuildArch: noarch
{tags}
%description
Test.
"""
BASE = """
%install
mkdir -p %{buildroot}/usr/{bin,lib/sysusers.d} %{buildroot}/var/lib/tiny
ln -s usr/bin %{buildroot}/bin
echo 'u tiny 47 "Tiny" /var/lib/tiny' > %{buildroot}/usr/lib/sysusers.d/tiny.conf
%post -p <lua>
io.open("/usr/made-by-scriptlet", "w"):close()
%files
/bin
/usr/bin
/usr/lib/sysusers.d/tiny.conf
%attr(0750,tiny,tiny) /var/lib/tiny
"""
Packages = Callable[..., Path]
Build = Callable[..., RootfsResult]


def root_of(name: str, store: Path) -> Path:
    return seed.build(load_config(PROJECT), Store.open(store), name, print, locked=False, offline=False).root


@pytest.fixture(scope="module")
def seed_root(seeded_store: Path) -> Path:
    return root_of("build", seeded_store)


@pytest.fixture(scope="module")
def image_seed(seeded_store: Path) -> Path:
    return root_of("image", seeded_store)


@pytest.fixture
def package(seed_root: Path, tmp_path: Path) -> Packages:
    """A function that builds a package of `name` with rpmbuild; `body` is the rest of its spec."""

    def make(name: str, body: str = "%files", tags: str = "") -> Path:
        work = tmp_path / "packages"
        (work / "scratch").mkdir(parents=True, exist_ok=True)
        (work / f"{name}.spec").write_text(HEADER.format(name=name, tags=tags) + body, encoding="utf-8")
        binds = [Bind(work, "/work", readonly=False), *(Bind(path, f"/etc/rpm/{path.name}") for path in MACROS)]
        sandbox = Sandbox(
            layers=[seed_root], scratch=work / "scratch", binds=binds, env={"SOURCE_DATE_EPOCH": str(EPOCH)}
        )
        sandbox.run(["rpmbuild", "-bb", "--define", "_rpmdir /work", f"/work/{name}.spec"])
        return work / "noarch" / f"{name}-1-1.noarch.rpm"

    return make


@pytest.fixture
def build(image_seed: Path, tmp_path: Path) -> Build:
    def make(*rpms: Path, folder: str = "root") -> RootfsResult:
        work = tmp_path / folder
        work.mkdir()
        workspace = Workspace(seed=image_seed, macros=MACROS, epoch=EPOCH, log=work / "log", folder=work)
        packages = list(by_nevra(rpms).values())
        chosen = InstallSet(role=Role.ROOT, packages=packages, first=["base"])
        return build_rootfs(workspace, chosen, settings=SETTINGS)

    return make


def test_two_builds_give_the_same_bytes(
    package: Packages, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rpms = [package("base", BASE), package("other", tags="Requires: base")]
    one, two = build(*rpms, folder="one"), build(*reversed(rpms), folder="two")
    monkeypatch.setattr(rootfs, "available_memory", lambda: 0)  # then the root lies on disk
    three = build(*rpms, folder="three")
    assert (tmp_path / "three" / "target" / "usr").is_dir() and not (tmp_path / "one" / "target").exists()
    digests = {hashlib.sha256(result.tar.read_bytes()).hexdigest() for result in (one, two, three)}
    assert len(digests) == 1
    with tarfile.open(one.tar) as archive:
        members = {member.name: member for member in archive}
        passwd = archive.extractfile("./etc/passwd")
        assert passwd is not None
        assert passwd.read() == b"tiny:x:47:47:Tiny:/var/lib/tiny:/usr/sbin/nologin\n"
    assert "./usr/made-by-scriptlet" in members
    assert (members["./var/lib/tiny"].uid, members["./var/lib/tiny"].mode) == (47, 0o750)
    assert members["./root/.ssh/authorized_keys"].mode == 0o600
    assert max(member.mtime for member in members.values()) == EPOCH
    assert [name for name in members if "sysimage/rpm/" in name] == ["./usr/lib/sysimage/rpm/rpmdb.sqlite"]


@pytest.mark.parametrize(
    ("script", "message", "detail"),
    [
        ('print("hello")', "printed something", "hello"),
        ('error("out of luck")', "failed", "out of luck"),
    ],
)
def test_scriptlet_must_be_silent_and_succeed(
    package: Packages, build: Build, script: str, message: str, detail: str
) -> None:
    rpms = [package("base", BASE), package("noisy", f"%post -p <lua>\n{script}\n%files")]
    with pytest.raises(ImageError, match=message) as caught:
        build(*rpms)
    assert caught.value.where == "noisy-1-1.noarch.rpm"
    assert detail in (caught.value.detail or "")


def test_unmet_requirement(package: Packages, build: Build) -> None:
    with pytest.raises(ImageError, match="not closed") as caught:
        build(package("base", BASE), package("needy", tags="Requires: nowhere"))
    assert "nowhere is needed by needy-1-1.noarch" in (caught.value.detail or "")


def test_user_without_fixed_id(package: Packages, build: Build) -> None:
    body = BASE.replace("u tiny 47", "u tiny -")
    with pytest.raises(ImageError) as caught:
        build(package("base", body))
    assert "fixed id" in (caught.value.detail or "")
