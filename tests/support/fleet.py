"""What hosts of a test update from: packages of the image under their next release, kernels good and bad, a server."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from photonbuild.images.formats.pico import Entry, cpio
from photonbuild.machines.hardware import HOST_SEEN_BY_GUEST
from photonbuild.machines.verify import BUSYBOX
from photonbuild.packages.built import Built, tree_of
from photonbuild.packages.graph import wanted_specs
from photonbuild.pipeline.build import build_packages
from photonbuild.pipeline.session import Session
from photonbuild.sandbox.sandbox import Bind, Sandbox
from tests.support.faulty_web import Web
from tests.support.rerelease import numbers, rerelease
from tests.support.tdnf_lab import Key, Made, make_packages, publish
from tests.support.updates import Host

NEXT = "90"
REPO = """[fleet]
name=Fleet
baseurl={url}
enabled=1
gpgcheck=1
repo_gpgcheck=1
metadata_expire=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-fleet
"""
# In an initramfs of static programs: /init of a kernel that panics, and of one that starts the system and hangs then,
# as one does that panics and is not to start again: only the watchdog ends that.
PANIC = "#!/bin/busybox sh\nexit 1\n"
HANG = """#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc /dev /system
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
until $b mount -o ro /dev/vda3 /system 2>/dev/null; do $b sleep 1; done
$b setsid /bin/hang 90 /proc/sys/kernel/panic /proc/sysrq-trigger &
$b sleep 1
$b umount -l /proc
exec $b switch_root /system /sbin/init
"""
HANG_PROGRAM = """
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    int restart = open(argv[2], O_WRONLY), trigger = open(argv[3], O_WRONLY);
    sleep(atoi(argv[1]));
    return argc != 4 || write(restart, "0", 1) != 1 || write(trigger, "c", 1) != 1;
}
"""
UNITS = "/usr/lib/systemd/system"


def settings(files: Mapping[str, str]) -> Made:
    """A package of these text files."""
    lines = [f"mkdir -p %{{buildroot}}{Path(file).parent}" for file in files]
    lines += [f"printf '{text}' > %{{buildroot}}{file}" for file, text in files.items()]
    return Made(name="settings", install="\n".join(lines), files="\n".join(files))


BREAKS = {
    "network": {
        f"{UNITS}/systemd-networkd.service.d/90-x.conf": "[Service]\\nExecStart=\\nExecStart=/usr/bin/false\\n"
    },
    "mounts": {
        f"{UNITS}/srv-x.mount": "[Mount]\\nWhat=none\\nWhere=/srv/x\\nType=nosuchfs\\n",
        f"{UNITS}/local-fs.target.d/90-x.conf": "[Unit]\\nRequires=srv-x.mount\\nAfter=srv-x.mount\\n",
    },
}


def initramfs(programs: Mapping[str, Path], init: str) -> bytes:
    """A cpio archive of these programs in /bin and this /init."""
    entries = [Entry(name="bin", mode=0o040755, content=b"")]
    entries += [Entry(name=f"bin/{name}", mode=0o100755, content=path.read_bytes()) for name, path in programs.items()]
    return cpio([*entries, Entry(name="init", mode=0o100755, content=init.encode())], epoch=0)


@dataclass
class Fleet:
    """A signed repository that is published again and again, the newest of each package."""

    session: Session
    web: Web
    work: Path
    profile: Sequence[str]

    @cached_property
    def key(self) -> Key:
        return Key.new(self.work / "gnupg", "Fleet")

    @cached_property
    def built(self) -> dict[str, Built]:
        session = self.session
        return dict(build_packages(session, wanted_specs(session.graph, self.profile, where="tests of updates")))

    @cached_property
    def kernel(self) -> Path:
        """The kernel's image."""
        trees = [tree_of(package) for package in self.built["linux"].packages]
        return next(path for tree in trees for path in tree.glob("usr/lib/modules/*/vmlinuz"))

    @cached_property
    def hang(self) -> Path:
        """A static program after which nothing else runs."""
        folder = self.work / "hang"
        (folder / "scratch").mkdir(parents=True)
        (folder / "hang.c").write_text(HANG_PROGRAM)
        binds = [Bind(folder, "/work", readonly=False)]
        sandbox = Sandbox(layers=[self.session.seed.root], scratch=folder / "scratch", binds=binds)
        sandbox.run(["gcc", "-O2", "-static", "-o", "/work/hang", "/work/hang.c"])
        return folder / "hang"

    def next_release(self, names: Sequence[str]) -> list[Path]:
        """The built packages of these names under the next release; all of the same spec know each other's."""
        files = [package.path for built in self.built.values() for package in built.packages if package.name in names]
        renamed = {number: f"{number}.{NEXT}" for number in map(numbers, files)}
        folder = self.work / "next"
        folder.mkdir(exist_ok=True)
        return [rerelease(file, folder, renamed) for file in files]

    def kernel_package(self, version: str, init: str = "") -> Made:
        """The image's kernel under another version; with `init` it has an initramfs with that /init."""
        (self.work / "build").mkdir(parents=True, exist_ok=True)
        shutil.copy(self.kernel, self.work / "build/vmlinuz")
        folder = f"/usr/lib/modules/{version}-1"
        lines = [f"mkdir -p %{{buildroot}}{folder}", f"cp /work/vmlinuz %{{buildroot}}{folder}/vmlinuz"]
        if init:
            programs = {"busybox": self.session.machine_seed.root / BUSYBOX, "hang": self.hang}
            (self.work / "build" / f"initrd-{version}").write_bytes(initramfs(programs, init))
            lines.append(f"cp /work/initrd-{version} %{{buildroot}}{folder}/initrd")
        return Made(
            name="linux", version=version, install="\n".join(lines), files=folder, folder=f"linux-{version}", tags=""
        )

    def make(self, packages: Sequence[Made]) -> list[Path]:
        macros = sorted((self.session.config.root / "build/macros").glob("macros.*"))
        folder = make_packages(self.session.seed.root, self.work / "build", packages, macros)
        return [folder / made.file for made in packages]

    def publish(self, rpms: Sequence[Path]) -> None:
        """Sign these, and list them and nothing else."""
        folder = self.web.folder / "fleet"
        shutil.rmtree(folder, ignore_errors=True)
        signed = self.work / "signed"
        signed.mkdir(exist_ok=True)
        for rpm in rpms:
            self.key.sign_rpm(rpm, signed / rpm.name)
        publish(folder, [signed / rpm.name for rpm in rpms], self.key)

    @property
    def url(self) -> str:
        return f"{self.web.url.replace('127.0.0.1', HOST_SEEN_BY_GUEST)}/fleet"

    def enrol(self, host: Host) -> None:
        """The host updates from here."""
        host.ssh("mkdir -p /etc/pki/rpm-gpg")
        host.write("/etc/pki/rpm-gpg/RPM-GPG-KEY-fleet", self.key.public)
        host.write("/etc/yum.repos.d/fleet.repo", REPO.format(url=self.url).encode())
