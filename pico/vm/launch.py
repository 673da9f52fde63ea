"""Starting a machine's QEMU in a folder: sockets, logs, jail, limits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.files import write_json
from photonbuild.machines.qmp import Qmp
from pico.errors import PicoError, QmpError
from pico.guest.errors import GuestError, GuestGoneError
from pico.guest.messages import Welcome
from pico.guest.session import Session
from pico.vm import cgroups, jail, memory, network
from pico.vm.host import Host
from pico.vm.network import Port
from pico.vm.qemu import BINARY, INITRD, KERNEL, PORTS, PRELOAD, TEMPLATE, Descriptors, Hardware, Mode, qemu_argv
from pico.vm.state import Machine

BACKLOG = 8
KVM = Path("/dev/kvm")
# The size in bytes that no file which a guest writes, its log for one, exceeds: such a machine is killed. The agent
# stops logging a quarter of the way. Where a volume can be written there is no such limit.
LARGEST_FILE = 256 << 20
QUEUE = 5  # seconds that a connection waits for its turn
# Of a zygote: the socket for requests, and device and inode of its files.
CALLS, FILES = "calls", "files.json"
NET = "net"  # the socket for the process that carries the frames of the network
AGAIN = 1.0  # seconds without an answer, after which a port is opened anew


@dataclass(frozen=True, kw_only=True)
class Share:
    """A folder or file of the host that the guest sees at `target`."""

    source: Path
    target: str
    readonly: bool = False

    @property
    def part(self) -> str | None:
        """A file is shared as this name in a folder that has nothing else."""
        return "file" if self.source.is_file() else None


@dataclass(frozen=True, kw_only=True)
class VMConfig:
    """The machine to start. `template` is a folder: written by a machine that becomes one, read by a clone."""

    hardware: Hardware
    mode: Mode
    network: bool
    template: Path | None = None
    image: Path
    shares: Sequence[Share] = ()
    cpus: float | None = None


def start(host: Host, machine: Machine, config: VMConfig) -> int:
    """Start QEMU for `machine`, whose folder exists; its process id. It listens on the folder's sockets from now on.

    Raises PicoError, SandboxError.
    """
    _require(host, config.hardware)
    with contextlib.ExitStack() as stack:
        files = open_files(stack, machine, config.image, kvm=config.hardware.accel == "kvm")
        argv = qemu_argv(
            config.hardware,
            files.descriptors,
            mode=config.mode,
            network=config.network,
            readonly=[share.readonly for share in config.shares],
        )
        more: list[int] = []
        env: dict[str, str] = {}
        groups: list[Path] = []
        if config.mode == "zygote":  # no limits: what its copies take before they join their own would count as its own
            more, env = _zygote(stack, machine, files)
        else:
            groups = cgroups.create(machine.id, config.hardware, config.cpus)
        return jail.start(
            _jail(host, config, env),
            argv,
            jail.Inherited(
                output=files.output,
                identity=files.identity,
                descriptors=[*files.descriptors.all(), files.alive, *more],
                groups=groups,
                most=_largest_file(config),
            ),
        )


def _largest_file(config: VMConfig) -> int | None:
    """None where QEMU writes larger files on purpose: a template's memory, the caller's volumes."""
    written = config.mode == "template" or not all(share.readonly for share in config.shares)
    return None if written else LARGEST_FILE


def connect_network(
    host: Host, machine: Machine, ports: Sequence[Port], sockets: Sequence[socket.socket], groups: Sequence[Path]
) -> None:
    """Give a machine that was started with a network one, with these ports. Raises PicoError, SandboxError."""
    with contextlib.ExitStack() as stack:
        frames = stack.enter_context(connect(machine.folder, NET))
        output = _open(stack, machine.folder / "qemu.log", os.O_WRONLY | os.O_APPEND)
        network.start(host, frames, list(zip(ports, sockets, strict=True)), output=output, groups=groups)


@dataclass(frozen=True, kw_only=True)
class Files:
    """What QEMU has open: the lock `alive`, for reading only; what it prints goes to `output`.

    `identity` is the same file as `alive`, open for writing by its starter alone: for its process id.
    """

    descriptors: Descriptors
    output: int
    alive: int
    identity: int

    def all(self) -> list[int]:
        """Always in this order, without `identity`."""
        return [self.output, *self.descriptors.all(), self.alive]


def open_files(stack: contextlib.ExitStack, machine: Machine, image: Path, *, kvm: bool = False) -> Files:
    """Make and open what belongs to a machine in its folder, until `stack` unwinds. Raises PicoError."""
    alive = _open(stack, machine.folder / "alive", os.O_RDONLY)
    fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return Files(
        descriptors=Descriptors(
            qmp=_listen(stack, machine.folder, "qmp"),
            ports=[_listen(stack, machine.folder, f"port{number}") for number in range(PORTS)],
            net=_listen(stack, machine.folder, NET),
            log=_open(stack, machine.log, os.O_WRONLY | os.O_APPEND),
            console=_open(stack, machine.folder / "console", os.O_WRONLY | os.O_APPEND),
            # Read-only: so QEMU cannot write it, whatever its guest makes it do.
            image=_existing(stack, image, os.O_RDONLY, "cannot read the image"),
            # By us: QEMU's own user need not be allowed to open it.
            kvm=_existing(stack, KVM, os.O_RDWR, "cannot open") if kvm else None,
        ),
        output=_open(stack, machine.folder / "qemu.log", os.O_WRONLY | os.O_APPEND),
        alive=alive,
        identity=_open(stack, machine.folder / "alive", os.O_WRONLY),
    )


def _zygote(stack: contextlib.ExitStack, machine: Machine, files: Files) -> tuple[list[int], dict[str, str]]:
    """What the library in a zygote needs: a socket for requests, this host's /proc; see src/pico-zygote."""
    calls = _listen(stack, machine.folder, CALLS, socket.SOCK_SEQPACKET)
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, proc)
    write_json(machine.folder / FILES, [[found.st_dev, found.st_ino] for found in map(os.fstat, files.all())])
    return [calls, proc], {"LD_PRELOAD": PRELOAD, "PICO_ZYGOTE": str(calls), "PICO_PROC": str(proc)}


def _require(host: Host, hardware: Hardware) -> None:
    """Raises PicoError when there is no QEMU, or no memory for one more machine."""
    program = host.seed / BINARY.lstrip("/")
    if not program.is_file():
        raise PicoError(
            "there is no QEMU in the machine seed", where=str(program), hint="photonbuild seed build machine"
        )
    memory.require(hardware.memory)


def _jail(host: Host, config: VMConfig, env: Mapping[str, str]) -> jail.Jail:
    mounts = []
    if config.template is not None:
        mounts.append(jail.Mount(source=config.template, target=TEMPLATE, readonly=config.mode != "template"))
    if config.mode in ("template", "cold"):
        mounts += [jail.Mount(source=host.kernel, target=KERNEL), jail.Mount(source=host.initrd, target=INITRD)]
    if config.mode == "zygote":
        mounts.append(jail.Mount(source=host.preload, target=PRELOAD))
    for number, share in enumerate(config.shares):
        target = f"/run/volume{number}{'/' + share.part if share.part else ''}"
        mounts.append(jail.Mount(source=share.source, target=target, readonly=share.readonly, own=True))
    return jail.Jail(
        root=host.seed,
        mounts=mounts,
        uid=host.uid,
        parent=config.mode == "zygote",
        env=env,
        proc=bool(config.shares),  # QEMU changes modes in a volume by way of /proc/self/fd
    )


def _open(stack: contextlib.ExitStack, path: Path, flags: int) -> int:
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, handle)
    return handle


def _existing(stack: contextlib.ExitStack, path: Path, flags: int, failure: str) -> int:
    """A descriptor that QEMU inherits, closed with the stack. Raises PicoError that begins with `failure`."""
    try:
        handle = os.open(path, flags | os.O_CLOEXEC)
    except OSError as exc:
        raise PicoError(f"{failure}: {exc.strerror}", where=str(path)) from exc
    stack.callback(os.close, handle)
    return handle


def _listen(stack: contextlib.ExitStack, folder: Path, name: str, kind: int = socket.SOCK_STREAM) -> int:
    sock = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
    with _short_name(folder, name) as path:
        sock.bind(path)
    sock.listen(BACKLOG)
    return sock.fileno()


def connect(folder: Path, name: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A connection to a machine's socket. Raises PicoError when nothing listens there any more."""
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        with _short_name(folder, name) as path:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", QUEUE, 0))
            sock.connect(path)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 0))
    except OSError as exc:
        sock.close()
        raise PicoError(f"machine {folder.name} does not run", detail=qemu_output(folder)) from exc
    return sock


def connect_agent(folder: Path, name: str, seconds: float) -> tuple[Session, Welcome]:
    """A session over one of a machine's ports, begun. Raises PicoError, GuestError when the agent gives no answer.

    What a killed program left half-sent on the port may swallow the first HELLO: then it is said again.
    """
    ends, patience = time.monotonic() + seconds, AGAIN
    while True:
        session = Session(connect(folder, name))
        try:
            return session, session.hello(min(patience, seconds))
        except GuestError as exc:
            session.close()
            if isinstance(exc, GuestGoneError) or time.monotonic() >= ends:
                raise
        patience *= 2  # on a busy host an answer takes its time


def port_lock(machine: Machine, number: int) -> int | None:
    """Descriptor that holds a port for its user until it is closed; None when another has it."""
    path = machine.folder / f"port{number}.lock"
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def connect_qemu(folder: Path) -> Qmp:
    """A connection to the machine's QEMU itself. Raises QmpError, as all that is done with it."""
    return Qmp(connect(folder, "qmp"), error=QmpError)


def discard(machine: Machine) -> None:
    """End a machine and remove all of it. Raises PicoError when it does not end."""
    machine.kill()
    cgroups.remove(machine.id)
    machine.remove()


def qemu_output(folder: Path) -> str | None:
    """The end of what QEMU printed: the reason, when it ended at once."""
    try:
        text = (folder / "qemu.log").read_text(encoding="utf-8", errors="replace")[-2000:]
    except OSError:
        return None
    return text.strip() or None


@contextlib.contextmanager
def _short_name(folder: Path, name: str) -> Iterator[str]:
    """A name of a socket that is short however long the folder's is: they may have 107 bytes."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)
