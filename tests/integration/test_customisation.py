"""What an image has besides its packages, in a root of tiny packages: accounts, trees, scripts, what is refused."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from photonbuild.config.load import Config
from photonbuild.errors import ImageError, PhotonbuildError
from photonbuild.images.customise.collect import customise
from photonbuild.images.installset import InstallSet, Role
from photonbuild.images.rootfs import RootfsFile, RootfsResult, RootfsSettings, build_rootfs
from photonbuild.images.workspace import Workspace
from photonbuild.pipeline.configuration import load_config
from photonbuild.sandbox.sandbox import Bind, Sandbox
from photonbuild.seeds import seed
from photonbuild.store import Store
from tests.integration.conftest import PROJECT
from tests.integration.test_rootfs import EPOCH, HEADER, MACROS
from tests.support.packages import by_nevra

# A root with the accounts, the shell and the folders that settings need: programs are those of the seed.
BODY = """
%install
mkdir -p %{buildroot}/usr/{bin,sbin,lib,lib64,share/zoneinfo/Europe,lib/modules/6.12} %{buildroot}/etc/skel
mkdir -p %{buildroot}/{tmp,var} %{buildroot}/etc/pki/tls/certs %{buildroot}/usr/share/doc/base %{buildroot}/etc/sysctl.d
for name in bin sbin lib lib64; do ln -s usr/$name %{buildroot}/$name; done
for name in bash mkdir cat touch; do
  cp /usr/bin/$name %{buildroot}/usr/bin
  for library in $(ldd /usr/bin/$name | grep -o '/[^ ]*'); do cp -L $library %{buildroot}/usr/lib64; done
done
cp %{buildroot}/usr/lib64/* %{buildroot}/usr/lib
ln -s bash %{buildroot}/usr/bin/sh
echo root:x:0:0:root:/root:/bin/bash > %{buildroot}/etc/passwd
echo daemon:x:2:2::/:/usr/sbin/nologin >> %{buildroot}/etc/passwd
printf 'root:x:0:\\nwheel:x:10:\\ndaemon:x:2:\\n' > %{buildroot}/etc/group
echo 'root:*:20454::::::' > %{buildroot}/etc/shadow
echo 'root:::' > %{buildroot}/etc/gshadow
printf '/bin/sh\\n/bin/bash\\n' > %{buildroot}/etc/shells
echo export A=1 > %{buildroot}/etc/skel/.profile
echo authorities > %{buildroot}/etc/pki/tls/certs/ca-bundle.crt
echo zone > %{buildroot}/usr/share/zoneinfo/Europe/Berlin
echo 'kernel/fs/nfs.ko.zst:' > %{buildroot}/usr/lib/modules/6.12/modules.dep
echo 'kernel/fs/ext4.ko' > %{buildroot}/usr/lib/modules/6.12/modules.builtin
echo manual > %{buildroot}/usr/share/doc/base/README
%files
/bin
/sbin
/lib
/lib64
/usr
/etc
/var
%attr(1777,root,root) /tmp
"""
TAGS = "AutoReqProv: no"
SETTINGS = {
    "groups": [{"name": "site", "gid": 1500}],
    "users": [
        {"name": "ops", "groups": ["wheel", "site"], "password": "$6$salt$" + "a" * 86, "comment": 'It\'s "us"'},
        {"name": "daemon", "groups": ["site"]},
    ],
    "trees": [
        {"source": "site/tree", "permissions": {"/srv/www/*": {"owner": "ops", "group": "site", "mode": 2750}}},
    ],
    "files": [
        {"path": "/usr/bin/tool", "source": "site/tool.bin", "mode": 4755},
        {"path": "/etc/ops.conf", "text": "x\n", "mode": "0640", "owner": "root", "group": "ops"},
    ],
    "remove": ["/usr/share/doc/*"],
    "timezone": "Europe/Berlin",
    "scripts": ["site/build.sh"],
}
SCRIPT = """#!/bin/sh
set -eu
mkdir /opt
echo "$SOURCE_DATE_EPOCH $HOME $PATH $TZ" > /opt/environment
cat /proc/net/dev > /opt/network
echo said by the script
"""
Root = Callable[..., tuple[RootfsResult, Path]]


@pytest.fixture(scope="module")
def base(seeded_store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The seed and the one package."""
    found = seed.build(load_config(PROJECT), Store.open(seeded_store), "build", print, locked=False, offline=False)
    work = tmp_path_factory.mktemp("packages")
    (work / "scratch").mkdir()
    (work / "base.spec").write_text(HEADER.format(name="base", tags=TAGS) + BODY, encoding="utf-8")
    binds = [Bind(work, "/work", readonly=False), *(Bind(path, f"/etc/rpm/{path.name}") for path in MACROS)]
    sandbox = Sandbox(layers=[found.root], scratch=work / "scratch", binds=binds, env={"SOURCE_DATE_EPOCH": str(EPOCH)})
    argv = ["rpmbuild", "-bb", "--define", "_rpmdir /work", "--define", "__os_install_post %{nil}", "/work/base.spec"]
    sandbox.run([*argv[:-1], "--define", "_binaries_in_noarch_packages_terminate_build 0", argv[-1]])
    return found.root, work / "noarch" / "base-1-1.noarch.rpm"


def checkout(folder: Path, settings: dict[str, object]) -> Config:
    """The real configuration with an image of these settings."""
    build = folder / "build"
    build.mkdir()
    for path in (PROJECT / "build").iterdir():
        if path.name != "images":
            (build / path.name).symlink_to(path)
    (build / "images").mkdir()
    image = {"format": "oci", "profile": "base", **settings}
    (build / "images" / "mine.yaml").write_text(yaml.safe_dump(image, sort_keys=False), encoding="utf-8")
    tree = build / "site" / "tree"
    (tree / "srv/www").mkdir(parents=True)
    (tree / "srv/www/page").write_text("hello\n")
    (tree / "bin").mkdir()
    (tree / "bin/hello").write_text("#!/bin/sh\necho hello\n")
    (tree / "bin/hello").chmod(0o700)
    (tree / "srv/link").symlink_to("www/page")
    (build / "site" / "tool.bin").write_bytes(b"\x7fELF\xff\x00")
    (build / "site" / "build.sh").write_text(SCRIPT)
    (build / "site" / "bad.sh").write_text("#!/bin/sh\necho out of luck\nexit 7\n")
    return load_config(folder)


@pytest.fixture
def root(base: tuple[Path, Path], tmp_path: Path) -> Root:
    """Make the root of an image with these settings, in a folder of its own."""

    def make(settings: dict[str, object], *, folder: str = "one") -> tuple[RootfsResult, Path]:
        work = tmp_path / folder
        work.mkdir()
        config = checkout(work, settings)
        custom = customise(config, "mine", config.image("mine"))
        workspace = Workspace(seed=base[0], macros=MACROS, epoch=EPOCH, log=work / "log", folder=work / "root")
        workspace.folder.mkdir()
        custom.stage(workspace.folder)
        chosen = InstallSet(role=Role.ROOT, packages=list(by_nevra([base[1]]).values()), first=["base"])
        files = [RootfsFile(path=f.path, text=t, mode=int(f.mode, 8)) for f, t in config.image_files("mine")]
        wanted = RootfsSettings(unit_presets=False, customise=custom.request(), files=files)
        return build_rootfs(workspace, chosen, settings=wanted), work

    return make


def test_everything_is_in_the_root_and_twice_the_same(root: Root) -> None:
    made, work = root(SETTINGS)
    again, _ = root(SETTINGS, folder="two")
    assert len({hashlib.sha256(each.tar.read_bytes()).hexdigest() for each in (made, again)}) == 1
    with tarfile.open(made.tar) as archive:
        members = {member.name: member for member in archive}

        def text(name: str) -> str:
            source = archive.extractfile(f"./{name}")
            assert source is not None
            return source.read().decode("utf-8", "replace")

        def status(name: str) -> tuple[int, int, str]:
            return members[f"./{name}"].uid, members[f"./{name}"].gid, f"{members[f'./{name}'].mode:04o}"

        assert 'ops:x:1000:1000:It\'s "us":/home/ops:/bin/bash\n' in text("etc/passwd")
        assert "site:x:1500:daemon,ops\n" in text("etc/group") and "wheel:x:10:ops\n" in text("etc/group")
        assert f"ops:$6$salt${'a' * 86}:" in text("etc/shadow") and "root:*:" in text("etc/shadow")
        assert status("etc/shadow")[2] == "0600"
        assert status("home/ops") == (1000, 1000, "0700") and status("home/ops/.profile")[:2] == (1000, 1000)
        assert status("srv/www/page") == (1000, 1500, "2750") and status("srv") == (0, 0, "0755")
        assert members["./srv/link"].linkname == "www/page"
        assert status("usr/bin/hello") == (0, 0, "0755") and "./bin/hello" not in members
        assert status("usr/bin/tool") == (0, 0, "4755") and text("usr/bin/tool").startswith("\x7fELF")
        assert status("etc/ops.conf") == (0, 1000, "0640")
        assert members["./etc/localtime"].linkname == "../usr/share/zoneinfo/Europe/Berlin"
        assert "./usr/share/doc/base" not in members and "./usr/share/doc" in members
        assert text("opt/environment") == f"{EPOCH} /root /usr/sbin:/usr/bin UTC\n"
        assert [line.split(":")[0].strip() for line in text("opt/network").splitlines()[2:]] in ([], ["lo"])
        assert "./tmp/build-script" not in members
        assert max(member.mtime for member in members.values()) == EPOCH
    assert "said by the script" in (work / "log").read_text(encoding="utf-8")
    assert {"/etc/shadow", "/usr/bin/hello", "/usr/share/doc/base/README", "/opt/network"} <= set(made.changed)
    assert "/usr/bin/bash" not in made.changed and json.dumps(made.changed)


REFUSED: list[tuple[dict[str, object], str, int]] = [
    ({"timezone": "Europe/Berlim"}, "no '/usr/share/zoneinfo/Europe/Berlim' in this image, did you mean 'Berlin'", 3),
    ({"locale": "xx_XX.UTF-8"}, "there is no locale 'xx_XX.UTF-8'", 3),
    ({"users": [{"name": "ops", "groups": ["whel"]}]}, "no group 'whel' in this image, did you mean 'wheel'", 4),
    ({"users": [{"name": "ops", "shell": "/bin/bsh"}]}, "'/bin/bsh' in this image, did you mean '/bin/bash'", 4),
    ({"users": [{"name": "ops", "uid": 2}]}, "id 2 already belongs to daemon", 4),
    ({"users": [{"name": "daemon", "shell": "/bin/bash"}]}, "the user 'daemon' is a package's: 'shell'", 4),
    ({"groups": [{"name": "wheel", "gid": 11}]}, "the group 'wheel' is a package's, with the id 10", 4),
    ({"remove": ["/usr/share/dok/*"]}, "nothing in this image matches '/usr/share/dok/*'", 4),
    ({"scripts": ["site/bad.sh"]}, "the script 'site/bad.sh' failed with exit code 7", 4),
    ({"trees": [{"source": "site/tree", "owner": "opps"}]}, "there is no user 'opps' in this image", 4),
    ({"trees": [{"source": "site/tree", "path": "/etc/passwd"}]}, "leads through the file '/etc/passwd'", 4),
    ({"files": [{"path": "/tmp", "source": "site/tool.bin"}]}, "'/tmp' is a folder in this image", 5),
]


@pytest.mark.parametrize(("settings", "message", "place"), REFUSED)
def test_what_cannot_be_names_file_and_line(root: Root, settings: dict[str, object], message: str, place: int) -> None:
    with pytest.raises(PhotonbuildError) as caught:
        root(settings)
    assert isinstance(caught.value, ImageError), caught.value
    assert message in caught.value.message, caught.value
    assert caught.value.where == f"build/images/mine.yaml:{place}"
