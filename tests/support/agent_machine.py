"""A machine for the tests of the agent alone: microvm, the devices of docs/reference/pico-protocol.md, booted cold."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.errors import VerifyError
from photonbuild.machines.hardware import TCG
from photonbuild.run import tail_of
from photonbuild.sandbox.process import Process as Running
from photonbuild.sandbox.sandbox import Bind, Sandbox
from pico.guest.errors import GuestError, GuestGoneError
from pico.guest.messages import Process, Setup, Welcome
from pico.guest.protocol import Exit, LogEntry, read_log
from pico.guest.session import Session
from tests.support.oci_images import busybox_root, layer, other

INSIDE = "/run/machine"
PORTS = 4
ARGUMENTS = "console=hvc0 quiet panic=-1 reboot=t"
TIMEOUT = 60


@dataclass(frozen=True, kw_only=True)
class Plugged:
    """What a machine is made of; `volumes` are folders of this machine, in the order of their mount tags."""

    kernel: Path
    initrd: Path
    root: Path
    volumes: Sequence[Path] = ()
    memory: int = 64
    cpus: int = 1
    card: bool = True
    accel: str = TCG
    arguments: str = ARGUMENTS
    machine: str = "microvm,acpi=off,rtc=on,isa-serial=off"


def pico_argv(plugged: Plugged) -> list[str]:
    """The command line inside the sandbox. Pure."""
    argv = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", plugged.machine, "-accel", plugged.accel, "-smp", str(plugged.cpus), "-m", str(plugged.memory),
        "-kernel", "/kernel", "-initrd", "/initrd", "-append", plugged.arguments,
        "-device", "virtio-serial-device,max_ports=8",
        "-chardev", f"file,id=console,path={INSIDE}/console.log", "-device", "virtconsole,chardev=console",
    ]  # fmt: skip
    for number in range(PORTS):
        argv += ["-chardev", f"socket,id=port{number},path={INSIDE}/{number},server=on,wait=off"]
        argv += ["-device", f"virtserialport,chardev=port{number},name=photonbuild.{number}"]
    argv += ["-chardev", f"file,id=log,path={INSIDE}/log", "-device", "virtserialport,chardev=log,name=photonbuild.log"]
    argv += [
        "-drive",
        "if=none,id=root,format=raw,readonly=on,file=/root.img",
        "-device",
        "virtio-blk-device,drive=root",
    ]
    argv += ["-device", "virtio-rng-device"]
    if plugged.card:
        argv += ["-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net"]
    for number in range(len(plugged.volumes)):
        argv += [
            "-fsdev", f"local,id=volume{number},path=/volumes/{number},security_model=none",
            "-device", f"virtio-9p-device,fsdev=volume{number},mount_tag=volume{number}",
        ]  # fmt: skip
    return argv


class AgentMachine:
    """A context manager: inside it the machine runs, afterwards nothing of it is left."""

    def __init__(self, plugged: Plugged, *, seed: Path, scratch: Path) -> None:
        self.plugged, self._seed, self._scratch = plugged, seed, scratch
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> AgentMachine:
        with contextlib.ExitStack() as stack:
            # A short path: socket names are limited to 107 bytes.
            self.folder = Path(tempfile.mkdtemp(prefix="pico-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            plugged = self.plugged
            binds = [
                Bind(source=self.folder, target=INSIDE, readonly=False),
                Bind(source=plugged.kernel, target="/kernel"),
                Bind(source=plugged.initrd, target="/initrd"),
                Bind(source=plugged.root, target="/root.img"),
            ]
            for number, path in enumerate(plugged.volumes):
                binds.append(Bind(source=path, target=f"/volumes/{number}", readonly=False))
            sandbox = Sandbox(layers=[self._seed], scratch=self._scratch, binds=binds, hostname="machine")
            self.started = time.monotonic()
            with open(self.folder / "qemu.log", "wb") as log:
                self.process: Running = sandbox.popen(pico_argv(plugged), stdout=log, stderr=log)
            stack.callback(self.process.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def connect(self, port: int = 0) -> Session:
        """A session on a port, as soon as QEMU listens. Raises VerifyError with what QEMU and the kernel said."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline and self.process.popen.poll() is None:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(str(self.folder / str(port)))
            except OSError:
                sock.close()
                time.sleep(0.005)
                continue
            self._stack.callback(sock.close)
            return Session(sock)
        raise VerifyError("no pico machine", detail=self.said())

    def greeted(self, port: int = 0) -> Session:
        """A session that has its answer to HELLO, at the second or third connection if need be."""
        for last in (False, False, True):
            session = self.connect(port)
            try:
                session.hello(TIMEOUT if last else 5)
                return session
            except GuestGoneError:
                raise
            except GuestError:
                if last:
                    raise
                session.close()
        raise AssertionError

    def said(self) -> str:
        return f"{tail_of(self.folder / 'qemu.log')}\n{tail_of(self.folder / 'console.log', 40)}"

    def log(self) -> list[LogEntry]:
        return list(read_log(self.folder / "log"))

    def wait_off(self, timeout: float = TIMEOUT) -> int:
        """QEMU's exit code, once the machine is off."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise VerifyError(f"still on after {timeout:.0f} s", detail=self.said()) from None


@dataclass(kw_only=True)
class Result:
    """One life of a machine."""

    exit: Exit
    stdout: bytes
    stderr: bytes
    log: list[LogEntry]
    welcome: Welcome
    ready: Mapping[str, str] = field(default_factory=dict)


def settings(**more: object) -> Setup:
    """A SETUP with an identity of the test's own."""
    values: dict[str, object] = {"entropy": os.urandom(32), "hostname": "box", "machine_id": "0123456789abcdef" * 2}
    return Setup(**{**values, **more})  # type: ignore[arg-type]


def pumped(session: Session, stdin: bytes | Path | None = None) -> tuple[Exit | None, bytes, bytes]:
    """Carry a process's streams to its end; what came out of it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as source:
        if isinstance(stdin, bytes):
            source.write(stdin)
            source.seek(0)
        ended = session.pump(source.fileno() if stdin is not None else None, out.fileno(), err.fileno())
        out.seek(0)
        err.seek(0)
        return ended, out.read(), err.read()


def lived(machine: AgentMachine, setup: Setup, process: Process, stdin: bytes | None = None) -> Result:
    """SETUP, START, streams, off: everything is sent before anything is waited for."""
    session = machine.connect()
    welcome = session.hello(TIMEOUT)
    session.setup(setup)
    session.start(process)
    ready = session.ready(TIMEOUT)
    ended, out, err = pumped(session, stdin)
    assert ended is not None
    machine.wait_off()
    return Result(exit=ended, stdout=out, stderr=err, log=machine.log(), welcome=welcome, ready=ready)


APPLETS = (
    "sh cat echo sleep true false id hostname date ls mkdir touch rm stat dd md5sum head tail wc grep env pwd kill ip "
    "mount df tty stty free ps cut od sync test sort uname nc wget nslookup route ifconfig chmod chown yes"
)


def make_root(busybox: Path, build_seed: Path, scratch: Path, target: Path) -> None:
    """A root of busybox as an EROFS image, made by the build seed's mkfs.erofs; the same bytes every time."""
    entries = [
        *busybox_root(busybox.read_bytes(), APPLETS.split()),
        *(other(folder, tarfile.DIRTYPE) for folder in ("proc", "sys", "dev", "root", "var")),
        # As in many images: a link that leads nowhere here.
        other("etc/resolv.conf", tarfile.SYMTYPE, "../run/systemd/resolve/stub-resolv.conf", mode=0o777),
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "root.tar").write_bytes(layer(entries))
        sandbox = Sandbox(
            layers=[build_seed], scratch=scratch, binds=[Bind(source=Path(folder), target="/work", readonly=False)]
        )
        argv = ["mkfs.erofs", "--quiet", "-T0", f"-U{'0' * 8}-0000-0000-0000-{'0' * 12}", "--tar=f"]
        sandbox.run([*argv, "/work/root.erofs", "/work/root.tar"], error=VerifyError)
        shutil.move(Path(folder) / "root.erofs", target)
