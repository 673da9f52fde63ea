"""An image as a running machine: QEMU of the machine seed, in a sandbox, reached by console, QMP and ssh.

Options: https://www.qemu.org/docs/master/system/invocation.html
Credentials: https://systemd.io/CREDENTIALS/
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from photonbuild.errors import SandboxError, VerifyError
from photonbuild.images.format import Card
from photonbuild.machines.drive import Drive, Medium
from photonbuild.machines.qmp import Qmp
from photonbuild.run import Completed, run, tail_of
from photonbuild.sandbox.process import Process
from photonbuild.sandbox.sandbox import Bind, Sandbox

Firmware = Literal["bios", "uefi"]
FIRMWARES: tuple[Firmware, ...] = ("bios", "uefi")
INSIDE = "/run/machine"
BACKING = f"{INSIDE}-backing"
OVMF = "/usr/share/OVMF"
KVM = Path("/dev/kvm")
CARDS: dict[Card, str] = {"virtio": "virtio-net-pci", "vmxnet3": "vmxnet3", "e1000": "e1000"}
TCG = "tcg,thread=multi"
HOST_SEEN_BY_GUEST = "10.0.2.2"
NAMESERVER_SEEN_BY_GUEST = "10.0.2.3"
# Joins its input and output to a TCP connection; in the sandbox.
RELAY = "/usr/bin/busybox nc"


def processors() -> int:
    """Of a machine that is given no number of them: $PHOTONBUILD_MACHINE_CPUS, else 2. Raises VerifyError."""
    text = os.environ.get("PHOTONBUILD_MACHINE_CPUS") or "2"
    if not re.fullmatch(r"[1-9][0-9]?", text):
        raise VerifyError(f"'{text}' is no number of processors", where="$PHOTONBUILD_MACHINE_CPUS", hint="1 to 99")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What is plugged together. `forwards`: TCP port of the guest to port of this machine's loopback.

    `drives` are plugged in after the `medium` that is booted. `kernel` (and `initrd`) are booted directly, with
    `append` as command line. `login` is a private key that the guest lets in by itself; without it a one-time key goes
    in as a credential. `smbios` are values of QEMU's option of that name, `network` more options of its user network,
    `options` further words of its command line.
    With `restarts` a restart of the guest does not end the machine.
    """

    medium: Medium | None = None
    drives: Sequence[Drive] = ()
    firmware: Firmware = "bios"
    accel: str = TCG
    memory: int = 2048
    cpus: int = field(default_factory=processors)
    forwards: Mapping[int, int] = field(default_factory=dict)
    authorized_key: str | None = None
    login: Path | None = None
    smbios: Sequence[str] = ()
    network: Sequence[str] = ()
    options: Sequence[str] = ()
    restarts: bool = False
    interactive: bool = False
    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""


def qemu_argv(hardware: Hardware) -> list[str]:
    """The command line inside the sandbox. Pure."""
    argv = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-vga", "std",
        "-machine", "q35", "-accel", hardware.accel, "-smp", str(hardware.cpus), "-m", str(hardware.memory),
        "-rtc", "base=utc", "-device", "virtio-rng-pci",
        "-qmp", f"unix:{INSIDE}/qmp.sock,server=on,wait=off",
    ]  # fmt: skip
    if not hardware.restarts:
        argv += ["-no-reboot"]
    if hardware.accel == "kvm":
        argv += ["-cpu", "host"]
    if hardware.interactive:
        log = f"logfile={INSIDE}/console.log"
        argv += ["-chardev", f"stdio,id=console,mux=on,signal=off,{log}", "-mon", "console"]
    else:
        socket = f"socket,id=console,path={INSIDE}/console.sock,server=on,wait=off"
        argv += ["-chardev", f"{socket},logfile={INSIDE}/console.log"]
    argv += ["-serial", "chardev:console"]
    forwards = [f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in sorted(hardware.forwards.items())]
    argv += ["-netdev", ",".join(["user,id=net", *hardware.network, *forwards])]
    card = CARDS[hardware.medium.card if hardware.medium else "virtio"]
    argv += ["-device", f"{card},netdev=net,romfile=", *hardware.options]
    if hardware.firmware == "uefi":
        argv += [
            "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd",
            "-drive", f"if=pflash,unit=1,format=raw,file={INSIDE}/vars.fd",
        ]  # fmt: skip
    if hardware.authorized_key is not None:
        text = base64.b64encode(hardware.authorized_key.encode()).decode()
        argv += ["-smbios", f"type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={text}"]
    for value in hardware.smbios:
        argv += ["-smbios", value]
    if hardware.kernel is not None:
        argv += ["-kernel", f"{INSIDE}-kernel", "-append", hardware.append]
    if hardware.initrd is not None:
        argv += ["-initrd", f"{INSIDE}-initrd"]
    return argv + [
        word for name, drive in plugged(hardware) for word in _drive(name, drive, boot=hardware.kernel is None)
    ]


def plugged(hardware: Hardware) -> list[tuple[str, Drive]]:
    """The drives by the names that QEMU has for them, what is booted first."""
    drives = [("image", hardware.medium)] if hardware.medium is not None else []
    return [*drives, *((f"drive{number}", drive) for number, drive in enumerate(hardware.drives, 1))]


def _drive(name: str, drive: Drive, *, boot: bool) -> list[str]:
    kind = "media=cdrom,readonly=on" if drive.bus == "cd" else "cache=unsafe" if drive.writable else "snapshot=on"
    argv = ["-drive", f"if=none,id={name},{kind},format={drive.format},file={INSIDE}-{name}"]
    *before, last = _devices(name, drive.bus)
    # UEFI starts nothing that is not in this order: a CD comes after the image, where that is a blank disk.
    order = f",bootindex={_place(name)}" if boot and (name == "image" or drive.bus == "cd") else ""
    for device in (*before, f"{last}{order}"):
        argv += ["-device", device]
    return argv


def _place(name: str) -> int:
    """0 for the image, then 1, 2 …"""
    return 0 if name == "image" else int(name.removeprefix("drive"))


def _devices(name: str, bus: str) -> list[str]:
    """A drive and, where it needs one, its controller. QEMU's q35 has six SATA ports: the image's is the first."""
    port = f"ide.{_place(name)}"
    return {
        "cd": [f"ide-cd,drive={name},bus={port}"],
        "virtio": [f"virtio-blk-pci,drive={name}"],
        "pvscsi": [f"pvscsi,id={name}-bus", f"scsi-hd,drive={name},bus={name}-bus.0"],
        "scsi": [f"virtio-scsi-pci,id={name}-bus", f"scsi-hd,drive={name},bus={name}-bus.0"],
        "nvme": [f"nvme,drive={name},serial={name}"],
        "sata": [f"ide-hd,drive={name},bus={port}"],
    }[bus]


def sandbox_for(hardware: Hardware, seed: Path, scratch: Path, folder: Path) -> Sandbox:
    """The sandbox in which `qemu_argv` runs. It shares the host's network, for the forwarded ports."""
    binds = [Bind(source=folder, target=INSIDE, readonly=False)]
    for name, drive in plugged(hardware):
        binds.append(Bind(source=drive.file.resolve(), target=f"{INSIDE}-{name}", readonly=not drive.writable))
        if drive.backing is not None:
            binds.append(Bind(source=drive.backing.resolve(), target=BACKING))
    for name in ("kernel", "initrd"):
        file: Path | None = getattr(hardware, name)
        if file is not None:
            binds.append(Bind(source=file.resolve(), target=f"{INSIDE}-{name}"))
    if hardware.accel == "kvm":
        binds.append(Bind(source=KVM, target=str(KVM), readonly=False))
    return Sandbox(layers=[seed], scratch=scratch, binds=binds, network=True, hostname="machine")


def ssh_config(folder: Path, port: int, key: Path) -> str:
    """Text of an ssh_config(5) whose host ``machine`` is the guest. Commands share one connection. Pure."""
    return (
        f"Host machine\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {key}\n"
        f"  IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes\n  ConnectTimeout 20\n"
        f"  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
        f"  ControlPath {folder}/master\n  ControlMaster auto\n  ControlPersist yes\n"
    )


class Machine:
    """A context manager: inside it the machine runs; afterwards nothing of it is left, however the block ends.

    Start it from the main thread: the sandbox ends with the thread that started it.
    """

    def __init__(self, hardware: Hardware, *, seed: Path, scratch: Path) -> None:
        self.hardware = hardware
        self._seed, self._scratch = seed, scratch
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self.hardware.kernel is not None and not self.hardware.kernel.is_file():
            raise VerifyError("no such kernel", where=str(self.hardware.kernel))
        with contextlib.ExitStack() as stack:
            # A short path: socket names are limited to 107 bytes.
            self.folder = Path(tempfile.mkdtemp(prefix="photonbuild-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            login = self.hardware.login or one_time_key(self.folder)
            self.ssh_port = free_port()
            (self.folder / "ssh_config").write_text(ssh_config(self.folder, self.ssh_port, login))
            (self.folder / "console.log").touch()
            if self.hardware.firmware == "uefi":
                shutil.copyfile(f"{self._seed}{OVMF}/OVMF_VARS_4M.fd", self.folder / "vars.fd")
            self.process = self._start()
            stack.callback(self.process.kill)
            stack.callback(self._close_ssh)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> Process:
        hardware = replace(self.hardware, forwards={**self.hardware.forwards, 22: self.ssh_port})
        if hardware.login is None and hardware.authorized_key is None:
            hardware = replace(hardware, authorized_key=(self.folder / "key.pub").read_text())
        sandbox = sandbox_for(hardware, self._seed, self._scratch, self.folder)
        self.started = time.monotonic()
        if hardware.interactive:
            return sandbox.popen(qemu_argv(hardware), stdin=None, new_session=False)
        with open(self.folder / "qemu.log", "wb") as log:
            return sandbox.popen(qemu_argv(hardware), stdout=log, stderr=log)

    @property
    def console(self) -> Path:
        """The log of the first serial port."""
        return self.folder / "console.log"

    @property
    def terminal(self) -> Path:
        """A unix socket: the other end of the first serial port, for one who types."""
        return self.folder / "console.sock"

    @property
    def config(self) -> Path:
        """An ssh_config that knows the guest as host ``machine``."""
        return self.folder / "ssh_config"

    def elapsed(self) -> float:
        """Seconds since QEMU was started."""
        return time.monotonic() - self.started

    def check_alive(self) -> None:
        """Raises VerifyError when QEMU has ended, SandboxError when it never began."""
        if self.process.popen.poll() is not None:
            code = self.process.wait()  # raises when the sandbox could not even start it
            raise VerifyError(
                f"the machine ended with exit code {code}",
                detail=tail_of(self.folder / "qemu.log") + "\n" + tail_of(self.console),
            )

    def ssh(self, command: str, *, timeout: float = 120, check: bool = True, input: bytes | None = None) -> Completed:
        """Run a shell command as root in the guest. Raises VerifyError."""
        return run(
            ["ssh", "-F", self.config, "machine", command],
            timeout=timeout, check=check, input=input, error=VerifyError,
        )  # fmt: skip

    def wait_for_ssh(self, timeout: float) -> float:
        """Seconds from start until root could log in. Raises VerifyError with the end of the console."""
        while self.elapsed() < timeout:
            self.check_alive()
            if _greeting(self.ssh_port).startswith(b"SSH-"):
                done = run(
                    ["ssh", "-F", self.config, "-fNM", "machine"],
                    timeout=60, check=False, log=self.folder / "ssh.log",
                )  # fmt: skip
                if done.returncode == 0:
                    return self.elapsed()
            time.sleep(0.2)
        raise VerifyError(
            f"no ssh login within {timeout:.0f} s",
            detail="\n".join([tail_of(self.folder / "ssh.log", 5), tail_of(self.console, 40)]).strip(),
        )

    def qmp(self, command: str, **arguments: Any) -> Any:
        """One command over QMP; its ``return`` value. Raises VerifyError."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            try:
                sock.connect(str(self.folder / "qmp.sock"))
            except OSError as error:
                raise VerifyError(f"qmp {command}: {error}") from None
            return Qmp(sock, timeout=10).call(command, arguments)

    def shut_down(self, timeout: float = 90) -> float:
        """Press the power button and wait; seconds it took. Raises VerifyError when the guest does not obey."""
        begun = time.monotonic()
        self.qmp("system_powerdown")
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise VerifyError(
                f"still on {timeout:.0f} s after the power button", detail=tail_of(self.console, 30)
            ) from None
        return time.monotonic() - begun

    def _close_ssh(self) -> None:
        if (self.folder / "master").exists():
            run(["ssh", "-F", self.config, "-O", "exit", "machine"], check=False, timeout=20)


def _greeting(port: int) -> bytes:
    """First bytes that come from a port of this machine's loopback, empty when there is no answer in time."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
        sock.settimeout(1.5)
        return sock.recv(16)
    return b""


def one_time_key(folder: Path) -> Path:
    """A new ssh key in `folder`, without a passphrase; its public half is beside it."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "one-time", "-f", folder / "key"])
    return folder / "key"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@functools.cache
def best_accel(seed: Path, scratch: Path) -> str:
    """``kvm`` only if a probe guest really runs: UEFI firmware, which is 64-bit code, must print within seconds."""
    if not os.access(KVM, os.R_OK | os.W_OK):
        return TCG
    hardware = Hardware(firmware="uefi", accel="kvm", memory=256, cpus=1)
    with contextlib.suppress(SandboxError, VerifyError), Machine(hardware, seed=seed, scratch=scratch) as machine:
        while machine.elapsed() < 6 and machine.process.popen.poll() is None:
            if machine.console.stat().st_size:
                return "kvm"
            if "internal error" in (machine.folder / "qemu.log").read_text(errors="replace"):
                break
            time.sleep(0.05)
    return TCG
