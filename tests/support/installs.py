"""Installations in QEMU: CDs with kickstarts, the installer's console, the disk that is installed and started.

The ISO is in a CD drive and its boot menu is used; what is typed goes through the serial port.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from photonbuild.config.load import Config
from photonbuild.errors import ImageError
from photonbuild.images.format import Bus
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.checker import check_names, run_checks
from photonbuild.machines.drive import BootDrive, Drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.testnet import serve_testnet
from photonbuild.machines.verify import BUSYBOX, container_ports, facts_for
from photonbuild.packages.repo import make_repository
from photonbuild.pipeline.build import build_packages
from photonbuild.pipeline.session import Session
from photonbuild.run import tail_of
from photonbuild.sandbox.sandbox import Bind, Sandbox
from tests.support.https import Server, https_server
from tests.support.published import wait_for_boot
from tests.support.terminal import Terminal

DISK_SIZE = 8 << 30
INSTALL_TIMEOUT = 400.0
# What the console says when the installer is done, or has given up.
INSTALLED, FAILED = "installed; the machine ", "installation failed, see /var/log/installer.log"
DEVICES: dict[Bus, str] = {"virtio": "/dev/vda", "pvscsi": "/dev/sda", "sata": "/dev/sda", "nvme": "/dev/nvme0n1"}
UP, DOWN, CONTROL_E, CONTROL_X = "\x1b[A", "\x1b[B", "\x05", "\x18"


@dataclass(frozen=True, kw_only=True)
class InstallLab:
    """Where installations are tried: the ISO, the seeds, a folder for disks and discs, a key for the kickstarts."""

    iso: Path
    configuration: Config
    session: Session
    folder: Path
    key: Path

    @property
    def scratch(self) -> Path:
        return self.session.store.scratch

    @property
    def busybox(self) -> Path:
        return self.session.machine_seed.root / BUSYBOX

    @property
    def public_key(self) -> str:
        return self.key.with_suffix(".pub").read_text(encoding="utf-8").strip()

    def disc(self, label: str, files: Mapping[str, str | Path]) -> Path:
        """A CD image with these files by path, and their modes."""
        work = self.folder / f"disc-{label}-{time.monotonic_ns()}"
        for name, content in files.items():
            path = work / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path) and content.is_dir():
                shutil.copytree(content, path)
            elif isinstance(content, Path):
                shutil.copy(content, path)
            else:
                path.write_text(content, encoding="utf-8")
        argv = ["xorriso", "-as", "mkisofs", "-quiet", "-rock", "-joliet", "-volid", label,
                "-o", "/work/disc.iso", "/work/tree"]  # fmt: skip
        self.tool(argv, work)
        return work / "disc.iso"

    def sample(self, name: str, **values: str) -> str:
        """A file of kickstarts/ with the key put in, and the values of keys at its top."""
        text = (self.configuration.root / "kickstarts" / name).read_text(encoding="utf-8")
        text, count = re.subn(r'ssh-ed25519 [^"\n]*replace this line with your own', self.public_key, text)
        assert count == 1, f"{name} has no key to replace"
        for key, value in values.items():
            text, count = re.subn(rf'("?\b{key}"?: )"?[^",\n]*"?', rf"\g<1>{json.dumps(value)}", text)
            assert count == 1, f"{name} has no '{key}'"
        return text

    def kickstart(self, bus: Bus = "virtio", **changes: Any) -> str:
        """A kickstart for the one disk, which lets `key` in."""
        return json.dumps({"disk": DEVICES[bus], "public_key": self.public_key, **changes}, indent=1)

    def blank(self, name: str, size: int = DISK_SIZE) -> Path:
        path = self.folder / f"{name}.raw"
        with open(path, "wb") as handle:
            handle.truncate(size)
        return path

    def hardware(self, **changes: Any) -> Hardware:
        accel = best_accel(self.session.machine_seed.root, self.scratch)
        forwards = container_ports(self.configuration.runtimes)
        return replace(Hardware(accel=accel, forwards=forwards), **changes)

    def machine(self, hardware: Hardware) -> Machine:
        return Machine(hardware, seed=self.session.machine_seed.root, scratch=self.scratch)

    def tool(self, argv: Sequence[str], folder: Path) -> None:
        """Run a program of the build seed with `folder` at /work and the ISO at /iso."""
        (folder / "scratch").mkdir(exist_ok=True)
        sandbox = Sandbox(
            layers=(self.session.seed.root,),
            scratch=folder / "scratch",
            binds=(Bind(source=folder, target="/work", readonly=False), Bind(source=self.iso, target="/iso")),
        )
        sandbox.run(argv, log=folder / "log", error=ImageError)

    def https_server(self, files: dict[str, bytes]) -> contextlib.AbstractContextManager[Server]:
        """A server that the guest reaches; see `https_server`."""
        return https_server(files, self.folder / f"tls-{time.monotonic_ns()}", self.tool)

    def kernel(self) -> tuple[Path, Path, str]:
        """Kernel, initramfs and the arguments of the installer's entry, taken out of the ISO."""
        work = self.folder / "kernel"
        if not work.exists():
            work.mkdir()
            self.tool(["xorriso", "-osirrox", "on", "-indev", "/iso", "-extract", "/boot", "/work/boot"], work)
        menu = (work / "boot/grub/grub.cfg").read_text(encoding="utf-8")
        line = next(line for line in menu.splitlines() if "installer.target" in line)
        return work / "boot/vmlinuz", work / "boot/initramfs.img", line.partition("vmlinuz ")[2]

    @contextlib.contextmanager
    def medium(
        self,
        disk: Path,
        *,
        bus: Bus = "virtio",
        discs: Sequence[Path] = (),
        drives: Sequence[Drive] = (),
        words: str = "",
        menu: bool = False,
        **changes: Any,
    ) -> Iterator[tuple[Machine, Terminal]]:
        """A machine with a disk that is booted first, which a blank one is not, and with the ISO and more discs as CDs.

        With `words` the installer's entry is started with these put at the end of its kernel's arguments: its kernel
        directly, as virtual machine managers can, or with `menu` by what is typed in the boot menu.
        """
        image = BootDrive(file=disk, format="raw", bus=bus, writable=True)
        plugged = [Drive(file=path, format="raw", bus="cd") for path in (self.iso, *discs)]
        if not menu:
            kernel, initrd, arguments = self.kernel()
            changes |= {"kernel": kernel, "initrd": initrd, "append": f"{arguments} {words}"}
        hardware = self.hardware(boot_drive=image, drives=[*plugged, *drives], **changes)
        with self.machine(hardware) as machine, Terminal(machine) as terminal:
            if menu:
                choose_installer(terminal, words)
            yield machine, terminal

    def install(
        self, disk: Path, kickstart: str, *, files: Mapping[str, str | Path] | None = None, **changes: Any
    ) -> str:
        """Install by a kickstart on a CD that is found by its label; what the console said until the restart."""
        disc = self.disc("KICKSTART", {"kickstart.yaml": kickstart, **(files or {})})
        with self.medium(disk, discs=[disc], **changes) as (machine, terminal):
            finished(terminal)
            ended(machine)
            return terminal.text

    @contextlib.contextmanager
    def installed(self, disk: Path, *, bus: Bus = "virtio", **changes: Any) -> Iterator[Machine]:
        """The machine of an installed disk, reached with the kickstart's key; up when it is given."""
        drive = BootDrive(file=disk, format="raw", bus=bus, writable=True)
        with self.machine(self.hardware(boot_drive=drive, ssh_key=self.key, **changes)) as machine:
            wait_for_boot(machine)
            yield machine


def choose_installer(terminal: Terminal, words: str) -> None:
    """In GRUB's menu: the second entry, `e`, the line of the kernel, its end, the words, Control-X."""
    terminal.wait_for("Install [^\r\n]* to a disk", timeout=120)
    terminal.type(DOWN)
    if not words:
        terminal.type("\r")
        return
    terminal.type("e")
    terminal.wait_for("linux [^\r\n]*vmlinuz", timeout=30)
    terminal.type(f"{DOWN}{DOWN}{CONTROL_E} {words}", pause=0.03)
    terminal.type(CONTROL_X)


def finished(terminal: Terminal, timeout: float = INSTALL_TIMEOUT) -> None:
    """Wait for the end of an installation, which must be a good one."""
    match = terminal.wait_for(re.escape(INSTALLED), re.escape(FAILED), "login:", timeout=timeout)
    assert match[0] == INSTALLED, terminal.text[-4000:]


def ended(machine: Machine, timeout: float = 60) -> None:
    """Wait until the machine is off, as it is after a restart that QEMU is not to follow."""
    try:
        machine.process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"still on after {timeout:.0f} s\n{tail_of(machine.console, 30)}") from None


def suite(machine: Machine, lab: InstallLab, *, checks_of: Sequence[str] | None = None) -> list[str]:
    """Every check of `photonbuild verify`, or the system's and those of the named runtimes; the names of what ran."""
    runtimes = lab.configuration.runtimes
    chosen = [runtime for runtime in runtimes if checks_of is None or runtime.name in checks_of]
    with serve_testnet() as net:
        facts = facts_for(machine, net, lab.configuration.distribution, chosen, lab.session.machine_seed.root)
        checks = run_checks(machine, facts, check_names(chosen))
    bad = [f"{check.name}: {check.message}" for check in checks if check.outcome != "passed"]
    assert not bad, "\n".join(bad)
    return [check.name for check in checks]


def docker_runs(machine: Machine, lab: InstallLab) -> None:
    """Docker makes an image of one static program and runs it."""
    script = (
        "d=$(mktemp -d) && cat >$d/busybox && chmod 755 $d/busybox && "
        "tar -C $d -c busybox | docker import - quick:1 && "
        "docker run --rm quick:1 /busybox echo it-runs; code=$?; docker rmi -f quick:1 >/dev/null; rm -r $d; exit $code"
    )
    done = machine.ssh(script, input=lab.busybox.read_bytes(), timeout=180)
    assert "it-runs" in done.stdout


def untouched(disk: Path) -> bool:
    """Nothing was ever written to the sparse file: it has no blocks, so all of it reads as zeros."""
    return os.stat(disk).st_blocks == 0


def repository(lab: InstallLab, spec: str) -> dict[str, bytes]:
    """A repository of the packages of a spec that are not on the medium: files by path, beginning with /repo/."""
    built = build_packages(lab.session, [spec])[spec]
    rpms = [package.path for package in built.packages if not package.name.endswith(("-debuginfo", "-devel"))]
    folder = lab.folder / f"repository-{spec}"
    make_repository(rpms, folder, revision=lab.configuration.distribution.source_date_epoch)
    return {f"/repo/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
