"""Installations in QEMU: discs with kickstarts, the installer's console, and what an installed disk has to be.

The machine is real as far as it can be: the ISO in a CD drive, its boot menu, a blank disk. What is typed goes through
the serial port.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from photonbuild.config import Config
from photonbuild.errors import ImageError
from photonbuild.media import Bus, Drive, Medium
from photonbuild.outside import outside
from photonbuild.qemu import Hardware, Machine, best_accel, free_port
from photonbuild.run import tail_of
from photonbuild.sandbox import Bind, Sandbox
from photonbuild.verify import BOOT_TIMEOUT, PUBLISHED, check_names, facts_for, run_checks

DISK_SIZE = 8 << 30
INSTALL_TIMEOUT = 400.0
# What the console says when the installer is done, or has given up.
INSTALLED, FAILED = "installed; the machine ", "installation failed, see /var/log/installer.log"
DEVICES: dict[Bus, str] = {"virtio": "/dev/vda", "pvscsi": "/dev/sda", "sata": "/dev/sda", "nvme": "/dev/nvme0n1"}
UP, DOWN, CONTROL_E, CONTROL_X = "\x1b[A", "\x1b[B", "\x05", "\x18"


class Terminal:
    """The other end of a machine's serial port. What the machine has said so far is in `text`."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.text = machine, ""
        self._read = 0

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 20
        while True:
            try:
                self._socket.connect(str(self.machine.terminal))
                break
            except OSError:
                self.machine.check_alive()
                assert time.monotonic() < deadline, "no serial port"
                time.sleep(0.05)
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self._socket.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(4096):
                self.text += data.decode(errors="replace")

    def wait_for(self, *patterns: str, timeout: float) -> re.Match[str]:
        """The first match of one of the patterns in what was not waited for before."""
        deadline = time.monotonic() + timeout
        while True:
            found = [match for match in (re.compile(p).search(self.text, self._read) for p in patterns) if match]
            if found:
                first = min(found, key=lambda match: match.start())
                self._read = first.end()
                return first
            assert time.monotonic() < deadline, f"no {patterns} in {timeout:.0f} s:\n{self.text[-3000:]}"
            self.machine.check_alive()
            time.sleep(0.05)

    def type(self, text: str, *, pause: float = 0.0) -> None:
        for piece in [text] if not pause else re.findall(r"\x1b\[.|.", text, re.S):
            self._socket.sendall(piece.encode())
            time.sleep(pause)


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Where installations are tried: the ISO, the seeds, a folder for disks and discs, a key for the kickstarts."""

    iso: Path
    configuration: Config
    build_seed: Path
    machine_seed: Path
    scratch: Path
    folder: Path
    key: Path

    @property
    def public_key(self) -> str:
        return self.key.with_suffix(".pub").read_text(encoding="utf-8").strip()

    def disc(self, label: str, files: Mapping[str, str | Path]) -> Path:
        """A CD image with these files by path."""
        work = self.folder / f"disc-{label}-{time.monotonic_ns()}"
        for name, content in files.items():
            path = work / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path) and content.is_dir():
                shutil.copytree(content, path)
            else:
                path.write_bytes(content.read_bytes() if isinstance(content, Path) else content.encode())
        (work / "scratch").mkdir()
        sandbox = Sandbox(
            layers=(self.build_seed,),
            scratch=work / "scratch",
            binds=(Bind(source=work, target="/work", readonly=False),),
        )
        argv = ["xorriso", "-as", "mkisofs", "-quiet", "-rational-rock", "-joliet", "-volid", label,
                "-o", "/work/disc.iso", "/work/tree"]  # fmt: skip
        sandbox.run(argv, log=work / "log", error=ImageError)
        return work / "disc.iso"

    def kickstart(self, bus: Bus = "virtio", **changes: Any) -> str:
        """A kickstart for the one disk, which lets `key` in."""
        return json.dumps({"disk": DEVICES[bus], "public_key": self.public_key, **changes}, indent=1)

    def blank(self, name: str, size: int = DISK_SIZE) -> Path:
        path = self.folder / f"{name}.raw"
        with open(path, "wb") as handle:
            handle.truncate(size)
        return path

    def hardware(self, **changes: Any) -> Hardware:
        accel = best_accel(self.machine_seed, self.scratch)
        forwards = {port: free_port() for port in PUBLISHED}
        return replace(Hardware(accel=accel, forwards=forwards), **changes)

    def machine(self, hardware: Hardware) -> Machine:
        return Machine(hardware, seed=self.machine_seed, scratch=self.scratch)

    @contextlib.contextmanager
    def medium(
        self,
        disk: Path,
        *,
        bus: Bus = "virtio",
        discs: Sequence[Path] = (),
        drives: Sequence[Drive] = (),
        words: str | None = None,
        **changes: Any,
    ) -> Iterator[tuple[Machine, Terminal]]:
        """A machine with a disk that is booted first, which a blank one is not, and with the ISO and more discs as CDs.

        With `words` the installer's entry is chosen and these are put at the end of its kernel's arguments; without
        them the menu is left alone.
        """
        image = Medium(file=disk, format="raw", bus=bus, writable=True)
        plugged = [Drive(file=path, format="raw", bus="cd") for path in (self.iso, *discs)]
        hardware = self.hardware(medium=image, drives=[*plugged, *drives], **changes)
        with self.machine(hardware) as machine, Terminal(machine) as terminal:
            if words is not None:
                choose_installer(terminal, words)
            yield machine, terminal

    def install(
        self, disk: Path, text: str, *, bus: Bus = "virtio", name: str = "kickstart.json", **changes: Any
    ) -> str:
        """Install by the kickstart on a disc labelled so that it is found by itself; what the console said."""
        disc = self.disc("KICKSTART", {name: text, **changes.pop("files", {})})
        with self.medium(disk, bus=bus, discs=[disc], **{"words": "", **changes}) as (machine, terminal):
            finished(terminal)
            ended(machine)
            return terminal.text

    @contextlib.contextmanager
    def installed(self, disk: Path, *, bus: Bus = "virtio", **changes: Any) -> Iterator[Machine]:
        """The machine of an installed disk, reached with the kickstart's key; up when it is given."""
        medium = Medium(file=disk, format="raw", bus=bus, writable=True)
        with self.machine(self.hardware(medium=medium, login=self.key, **changes)) as machine:
            machine.wait_for_ssh(BOOT_TIMEOUT)
            up(machine)
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


def finished(terminal: Terminal) -> None:
    """Wait for the end of an installation, which must be a good one."""
    match = terminal.wait_for(re.escape(INSTALLED), re.escape(FAILED), "login:", timeout=INSTALL_TIMEOUT)
    assert match[0] == INSTALLED, terminal.text[-4000:]


def ended(machine: Machine, timeout: float = 60) -> None:
    """Wait until the machine is off, as it is after a restart that QEMU is not to follow."""
    try:
        machine.process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"still on after {timeout:.0f} s\n{tail_of(machine.console, 30)}") from None


def up(machine: Machine) -> None:
    """Everything has started, and nothing has failed."""
    state = machine.ssh("systemctl is-system-running --wait", timeout=BOOT_TIMEOUT, check=False).stdout.strip()
    assert state == "running", machine.ssh("systemctl --failed --no-legend; journalctl -b -p warning --no-pager").stdout


def suite(machine: Machine, lab: Lab) -> list[str]:
    """Every check of `photonbuild verify`; the names of those that ran."""
    with outside() as world:
        runtimes = lab.configuration.runtimes
        facts = facts_for(machine, world, lab.configuration.distribution, runtimes, lab.machine_seed)
        checks = run_checks(machine, facts, check_names(runtimes, runtimes))
    bad = [f"{check.name}: {check.message}" for check in checks if check.outcome != "passed"]
    assert not bad, "\n".join(bad)
    return [check.name for check in checks]


def docker_runs(machine: Machine, busybox: Path) -> None:
    """Docker makes an image of one static program and runs it."""
    script = (
        "d=$(mktemp -d) && cat >$d/busybox && chmod 755 $d/busybox && "
        "tar -C $d -c busybox | docker import - quick:1 && "
        "docker run --rm quick:1 /busybox echo it-runs; code=$?; docker rmi -f quick:1 >/dev/null; rm -r $d; exit $code"
    )
    done = machine.ssh(script, input=busybox.read_bytes(), timeout=180)
    assert "it-runs" in done.stdout


def untouched(disk: Path) -> bool:
    """Nothing was ever written to the sparse file: it has no blocks, so all of it reads as zeros."""
    return os.stat(disk).st_blocks == 0
