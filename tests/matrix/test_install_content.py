"""Kickstarts with the keys of four files of tests/data/kickstarts: packages, repositories, containers, ansible.

Here they name things that exist: packages of the medium, a signed repository and a registry that the machine reaches.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from photonbuild.images.format import Bus
from photonbuild.machines.hardware import HOST_SEEN_BY_GUEST
from photonbuild.machines.qemu import Machine
from photonbuild.store import Store
from tests.matrix.test_install_matrix import refused
from tests.support.faulty_web import Web, web
from tests.support.https import make_certificates
from tests.support.installs import FAILED, InstallLab, ended, finished, untouched
from tests.support.oci_images import busybox_root, configuration, docker_archive, layer, oci_layout, packed
from tests.support.registry import box_repository, registry
from tests.support.tdnf_lab import Key

pytestmark = pytest.mark.matrix

ROOT = Path(__file__).resolve().parents[2]
BUS: Bus = "sata"
SPEC = """\
Name: {name}
Version: 1.0
Release: 1%{{?dist}}
Summary: A package of the site
License: MIT
URL: https://example.com/{name}
BuildArch: noarch
{requires}

%description
A package of the site.

%install
mkdir -p %{{buildroot}}%{{_datadir}}/site
echo {name} > %{{buildroot}}%{{_datadir}}/site/{name}

%files
%{{_datadir}}/site/{name}
"""
SIGNED = {"site-tool": "Requires: site-lib", "site-lib": "", "site-later": "Requires: site-lib"}
OPEN = {"site-open": "Requires: site-lib", "site-extra": ""}
KEY_FILE = "RPM-GPG-KEY-phos"
REPO_FILE = """\
[site]
name=The site
baseurl={url}/$releasever/packages/$basearch
gpgcheck=1
repo_gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-phos
"""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A project with packages of its own: some in a signed publication on a web server, one in an unsigned folder."""

    web: Web
    folder: Path

    @property
    def url(self) -> str:
        return self.web.url.replace("127.0.0.1", HOST_SEEN_BY_GUEST)

    @property
    def unsigned(self) -> Path:
        return self.folder / "project/stage/repo"


@pytest.fixture(scope="module")
def site(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    project = folder / "project"
    env = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "PHOTONBUILD_STORE": str(store.root)}

    def photonbuild(*words: str) -> None:
        place = project if project.exists() else folder
        done = subprocess.run(
            [ROOT / "bin/photonbuild", *words], cwd=place, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]

    photonbuild("init", str(project), "--extends", str(ROOT))
    for name, requires in {**SIGNED, **OPEN}.items():
        (project / "specs" / name).mkdir()
        (project / "specs" / name / f"{name}.spec").write_text(SPEC.format(name=name, requires=requires))
    before = set((store.root / "signed").iterdir())
    photonbuild("key", "new", "release", "--user", "Site", "--email", "site@example.org")
    photonbuild("repo", "sign", "--key", "release", *SIGNED)
    photonbuild("repo", "publish", str(folder / "www"))
    photonbuild("repo", "build", *OPEN)
    with web(folder / "www") as served:
        yield Site(web=served, folder=folder)
    # The signed copies are those of a key that is gone with this test.
    for signed in set((store.root / "signed").iterdir()) - before:
        shutil.rmtree(signed)


def installed(machine: Machine, names: Sequence[str]) -> list[str]:
    """What rpm says of these packages."""
    return machine.ssh(f"rpm -q --qf '%{{NAME}}\\n' {' '.join(names)}", check=False).stdout.splitlines()


def install(lab: InstallLab, name: str, files: dict[str, str | Path], *words: str, **keys: Any) -> tuple[Path, str]:
    """Install by a kickstart with these keys on a CD with these files; the disk, and what the console said."""
    disk = lab.blank(name)
    disc = lab.disc("ANSWERS", {"ks.json": lab.kickstart(BUS, **keys), **files})
    line = " ".join(["ks=cdrom:/ks.json", "installer.poweroff", *words])
    with lab.medium(disk, bus=BUS, discs=[disc], words=line) as (machine, terminal):
        finished(terminal)
        ended(machine)
        return disk, " ".join(terminal.text.split())


def medium_versions(lab: InstallLab) -> dict[str, str]:
    """Packages on the medium that an installed system has not by itself, and their versions."""
    manifest = json.loads(lab.iso.with_name(f"{lab.iso.name}.manifest.json").read_text(encoding="utf-8"))
    return {entry["name"]: entry["nevra"].rsplit("-", 2)[1] for entry in manifest["medium_packages"]}


def test_packages_of_the_medium(installs: InstallLab, site: Site) -> None:
    """As packages.yaml: by name and version, in three lists, in a folder; what is for others is passed over."""
    versions = medium_versions(installs)
    files: dict[str, str | Path] = {
        "one.json": json.dumps({"packages": ["libaio"]}),
        "two.yaml": "packages: [inih]\npackages_aarch64: [none-such]\n",
        "three.json": json.dumps({"packages": ["bash"], "packages_x86_64": ["xfsprogs"]}),
        **{f"rpms/{path.name}": path for path in site.unsigned.rglob("site-extra-*.rpm")},
    }
    disk, said = install(
        installs,
        "packages",
        files,
        packages=["linux", "linux-esx"],
        packages_x86_64=["liburcu"],
        packages_aarch64=["none-such"],
        additional_packages=[f"lvm2={versions['lvm2']}"],
        packagelist_files=["one.json", "two.yaml"],
        packagelist_file="three.json",
        additional_rpms_path="cdrom:/rpms",
        linux_flavor="linux-rt",
        type="minimal",
    )
    assert "package 'linux-esx': there is one kernel" in said and "key 'packages_aarch64'" in said
    names = ["libaio", "inih", "xfsprogs", "liburcu", "lvm2", "device-mapper", "site-extra"]
    with installs.installed(disk, bus=BUS) as machine:
        assert installed(machine, names) == names
        assert machine.ssh("rpm -q --qf '%{VERSION}' lvm2").stdout == versions["lvm2"]
        assert "none-such" not in machine.ssh("rpm -qa").stdout
        machine.ssh("mkfs.xfs -V && vgs && rpm -V xfsprogs lvm2")
        machine.shut_down()


def test_a_signed_repository(installs: InstallLab, site: Site, tmp_path: Path) -> None:
    """As repositories.yaml: packages by its key, and the machine then updates from it with a file that it is given."""
    other = Key.new(tmp_path / "other", "Other")
    files: dict[str, str | Path] = {
        "other.asc": other.public.decode(),
        "site.repo": REPO_FILE.format(url=site.url),
        "repo": site.unsigned,
    }
    baseurl = f"{site.url}/$releasever/packages/$basearch/"
    key = f"{site.url}/{KEY_FILE}"
    repos = {
        "signed": {"name": "signed by its own key", "baseurl": baseurl, "gpgcheck": 1, "gpgkey": f"other.asc {key}"},
        "open": {"baseurl": "cdrom:/repo", "gpgcheck": 0, "sslverify": 0},
        "off": {"baseurl": f"{site.url}/nowhere/", "enabled": 0},
    }
    disk, _ = install(
        installs,
        "repositories",
        files,
        "insecure_installation=1",
        insecure_repo="no",
        packages=["site-tool", "site-open"],
        repos=repos,
        additional_files=[{"site.repo": "/etc/yum.repos.d/site.repo"}, {key: "/etc/pki/rpm-gpg/"}],
    )
    assert not any("nowhere" in path for path in site.web.asked)
    with installs.installed(disk, bus=BUS) as machine:
        names = ["site-tool", "site-open", "site-lib"]
        assert installed(machine, names) == names
        site.web.asked.clear()
        machine.ssh("tdnf --assumeyes install site-later", timeout=300)
        assert installed(machine, ["site-later"]) == ["site-later"]
        assert any(path.endswith("/repodata/repomd.xml") for path in site.web.asked)
        assert any("/site-later-1.0-1." in path for path in site.web.asked)
        assert "site@example.org" in machine.ssh("rpm -qa --qf '%{PACKAGER}\\n' 'gpg-pubkey*'").stdout
        machine.ssh("rm /etc/yum.repos.d/site.repo")
        machine.shut_down()


def test_container_images(installs: InstallLab) -> None:
    """As containers.yaml: one as docker save makes it, one as an OCI layout, one that a registry has."""
    program = installs.busybox.read_bytes()
    layers = [layer(busybox_root(program, ["sh", "echo", "cat"]))]
    config = configuration(layers, Cmd=["/bin/echo", "taken along"], Env=["PATH=/bin"])
    work = installs.folder / "images"
    work.mkdir()
    saved = docker_archive(work / "app.tar", layers, config, name="from/elsewhere:1")
    layout = oci_layout(work / "layout", layers, config, name="docker.io/library/laid:1")
    make_certificates(work, installs.tool)
    tls = {"certificate": work / "server.pem", "key": work / "key.pem"}
    with registry({"base": box_repository(installs.busybox, ["sh", "cat"])}, **tls) as served:
        address = f"{HOST_SEEN_BY_GUEST}:{served.port}"
        files: dict[str, str | Path] = {
            "app.tar": saved,
            "laid.tar": packed(layout, work / "laid.tar"),
            "ca.pem": work / "ca.pem",
        }
        images = [
            {"method": "load", "filename": "app.tar", "tags": ["app:1", "app:latest"], "drop-tag": True},
            {"method": "load", "filename": "laid.tar", "tags": ["own:1"]},
            {"method": "pull", "name": f"{address}/base:latest", "tags": ["base:5"]},
        ]
        disk, said = install(
            installs,
            "containers",
            files,
            additional_files=[{"ca.pem": f"/etc/docker/certs.d/{address}/ca.crt"}],
            photon_docker_image="other:5.0",
            docker={"images": images},
        )
        assert "no image is loaded for it" in said
        with installs.installed(disk, bus=BUS) as machine:
            listed = machine.ssh("docker images --format '{{.Repository}}:{{.Tag}}'").stdout.split()
            assert sorted(listed) == sorted(
                ["app:1", "app:latest", "laid:1", "own:1", f"{address}/base:latest", "base:5"]
            )
            assert machine.ssh("docker run --rm app", timeout=300).stdout == "taken along\n"
            assert machine.ssh("docker run --rm own:1", timeout=300).stdout == "taken along\n"
            assert machine.ssh("docker run --rm base:5 cat /etc/layer", timeout=300).stdout == "second\n"
            machine.ssh("test ! -e /var/lib/kickstart/images")
            machine.shut_down()


def test_what_stops_an_installation(installs: InstallLab, site: Site, tmp_path: Path) -> None:
    """Playbooks, for the live system has no ansible-playbook; and packages that the named key has not signed."""
    disk = installs.blank("stopped")
    baseurl = f"{site.url}/$releasever/packages/$basearch/"
    repos = {"signed": {"baseurl": baseurl, "gpgcheck": 1, "gpgkey": "other.asc"}}
    ansible = (ROOT / "tests/data/kickstarts/ansible.yaml").read_text(encoding="utf-8")
    files: dict[str, str | Path] = {
        "ansible.yaml": f"public_key: {installs.public_key}\n{ansible}",
        "harden.yaml": "- hosts: all\n  tasks: []\n",
        "vars.yaml": "site: north\n",
        "signed.json": installs.kickstart(BUS, packages=["site-tool"], repos=repos),
        "other.asc": Key.new(tmp_path / "other", "Other").public.decode(),
    }
    disc = installs.disc("ANSWERS", files)
    with installs.medium(
        disk, bus=BUS, discs=[disc], words="ks=cdrom:/ansible.yaml insecure_installation=1"
    ) as (machine, terminal):  # fmt: skip
        terminal.wait_for("ansible-playbook", timeout=300)
        terminal.wait_for(FAILED, timeout=60)
        machine.wait_for_ssh(machine.elapsed() + 60)
        assert "ansible-playbook" in machine.ssh("cat /var/log/installer.log").stdout
        found, text = refused(machine, "cdrom:/signed.json", "--insecure")
        assert found == 4 and "repos.signed: 2 packages are not signed by a key that 'gpgkey' names" in text, text
        machine.shut_down()
    assert untouched(disk)
