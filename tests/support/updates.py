"""A host that is updated: a disk that keeps what is written, restarts and power cuts, and what its boots came to."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from photonbuild.errors import PhotonbuildError
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import BootDrive, boot_drive
from photonbuild.machines.hardware import Firmware, Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.ssh import banner, one_time_key
from photonbuild.run import run
from photonbuild.sandbox.sandbox import Bind, Sandbox

RESTART = 900.0
WATCHDOG = ("-device", "i6300esb", "-action", "watchdog=reset")


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """Where hosts are tried: the image, the machine seed, a folder for disks."""

    image: Path
    seed: Path
    scratch: Path
    folder: Path
    options: Sequence[str] = field(default=())

    def disk(self, name: str, backing: Path | None = None) -> BootDrive:
        """A copy-on-write disk over `backing`, by default the image."""
        with boot_drive(backing or self.image) as drive:
            place = self.folder / f"disk-{name}"
            place.mkdir()
            inside = "/run/machine-backing"
            binds = [Bind(place, "/work", readonly=False), Bind(drive.file.resolve(), inside)]
            sandbox = Sandbox(layers=[self.seed], scratch=self.scratch, binds=binds)
            kind = ["-f", "qcow2", "-F", drive.format, "-b", inside]
            sandbox.run(["qemu-img", "create", "-q", *kind, "/work/disk.qcow2"])
            return replace(
                drive, file=place / "disk.qcow2", format="qcow2", writable=True, backing=drive.file.resolve()
            )

    @contextlib.contextmanager
    def running(self, disk: BootDrive, *, firmware: Firmware = "bios", options: Sequence[str] = ()) -> Iterator[Host]:
        """The machine of the disk, until the block ends; then it is as if its power was cut."""
        key = self.folder / "key"
        if not key.exists():
            one_time_key(self.folder)
        hardware = Hardware(
            boot_drive=disk,
            firmware=firmware,
            accel=best_accel(self.seed, self.scratch),
            restarts=True,
            ssh_key=key,
            authorized_key=key.with_suffix(".pub").read_text(encoding="utf-8"),
            options=[*self.options, *options],
        )
        with Machine(hardware, seed=self.seed, scratch=self.scratch) as machine:
            yield Host(machine)


@dataclass
class Host:
    """A running machine."""

    machine: Machine

    def ssh(self, command: str, *, check: bool = True, timeout: float = 300) -> str:
        """What the command says, stdout and stderr."""
        done = self.machine.ssh(command, check=check, timeout=timeout)
        return done.stdout + done.stderr

    def write(self, path: str, content: bytes) -> None:
        self.machine.ssh(f"cat > {shlex.quote(path)}", input=content)

    @property
    def kernel(self) -> str:
        """The version that the boot loader has started."""
        return self.ssh("sed 's,.*/modules/\\([^/]*\\)/vmlinuz.*,\\1,' /proc/cmdline").strip()

    def up(self, timeout: float = RESTART) -> str:
        """Wait until root can log in; the id of this boot."""
        self._log_in(time.monotonic() + timeout)
        self.machine.ssh("systemctl is-system-running --wait", check=False, timeout=timeout)
        return self.boot

    def _log_in(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            self.machine.check_alive()
            if banner(self.machine.ssh_port).startswith(b"SSH-"):
                argv: list[str | Path] = ["ssh", "-F", self.machine.config, "-fNM", "machine"]
                if run(argv, timeout=60, check=False, log=self.machine.folder / "ssh.log").returncode == 0:
                    return
            time.sleep(0.5)
        console = self.machine.console.read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"no login\n{console[-4000:]}")

    @property
    def boot(self) -> str:
        return self.ssh("cat /proc/sys/kernel/random/boot_id").strip()

    def restart(self, command: str = "systemctl reboot", timeout: float = RESTART) -> None:
        """Run what restarts the machine, and wait for another boot that lets root in."""
        before = self.boot
        self.machine.ssh(command, check=False)
        self.next_boot(before, timeout)

    def next_boot(self, before: str, timeout: float = RESTART) -> None:
        deadline = time.monotonic() + timeout
        run(["ssh", "-F", self.machine.config, "-O", "exit", "machine"], check=False, timeout=20)
        while True:
            time.sleep(1)
            with contextlib.suppress(PhotonbuildError):
                self._log_in(deadline)
                if self.boot != before:
                    break
                run(["ssh", "-F", self.machine.config, "-O", "exit", "machine"], check=False, timeout=20)
            assert time.monotonic() < deadline, "no other boot"
        self.machine.ssh("systemctl is-system-running --wait", check=False, timeout=timeout)

    def status(self) -> dict[str, str]:
        """What `boot-assessment status` says."""
        return dict(line.partition("=")[::2] for line in self.ssh("boot-assessment status").splitlines())
