"""The zygote: a stopped clone whose QEMU forks; each fork is another machine. Without KVM only.

What QEMU allocated and translated is shared with every copy until one writes it, so a copy costs neither QEMU's start
nor the translation of what kernel and agent have done before: the start of a container, rehearsed once. The library in
QEMU that does it: ``src/pico-zygote``. The zygote lies in the pool of its template, and goes with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from photonbuild.files import read_json
from pico.errors import PicoError
from pico.factory import template
from pico.vm import cgroups, launch, memory
from pico.vm.host import Host
from pico.vm.launch import CALLS, FILES, VMConfig
from pico.vm.qemu import Hardware
from pico.vm.state import Machine

READY = "ready-to-copy"
TRIES, PATIENCE = 10, 3.0
QUIET = 1.5  # seconds, after which the guest does nothing by itself any more
STEPS = ("", "request", "threads", "clone", "ids", "files", "rights", "filter", "restart")


class NoCopyError(PicoError):
    """The zygote made no copy. One that is `lost` will never make any."""

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


def folder_of(host: Host, key: str) -> Path:
    """It lies among the spares of the template `key`, and has a name of its own wherever machines have."""
    return host.folder / "spares" / key / f"zygote-{key[:12]}"


def of(host: Host, key: str) -> Machine | None:
    """The zygote of a template, if it lives and is ready."""
    machine = Machine(folder_of(host, key))
    return machine if (machine.folder / READY).exists() and machine.pid() else None


def make(host: Host, hardware: Hardware, frozen: Path, folder: Path) -> None:
    """Clone a template, let the agent rehearse, and stop it. Raises PicoError, GuestError."""
    machine = Machine(folder)
    folder.mkdir(parents=True)
    disk = folder / "disk"
    shutil.copyfile(host.rehearsal, disk)
    os.truncate(disk, host.disk)
    config = VMConfig(hardware=hardware, mode="zygote", network=True, template=frozen, image=disk)
    pid = launch.start(host, machine, config)
    qmp = launch.connect_qemu(folder)
    template.restore(qmp)
    qmp.call("cont")
    connected = _open_files(pid)
    qmp.close()
    session, _ = launch.connect_agent(folder, "port0", host.timeout)
    session.rehearse(host.timeout)
    session.close()
    time.sleep(QUIET)  # the guest hears of it too
    qmp = launch.connect_qemu(folder)
    qmp.call("stop")
    qmp.close()
    ends = time.monotonic() + host.timeout
    while _open_files(pid) >= connected:  # what is open when the first copy is asked for is closed in the copies
        if time.monotonic() > ends:
            raise PicoError("the zygote keeps its connections")
        time.sleep(0.001)
    (folder / READY).touch()


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def copy(zygote: Machine, machine: Machine, hardware: Hardware, image: Path, *, cpus: float | None) -> None:
    """Make `machine`, whose folder exists, a copy of the zygote with this image; it is stopped, and has no network yet.

    Raises NoCopyError when the zygote cannot, PicoError.
    """
    memory.require(hardware.memory)
    with contextlib.ExitStack() as stack:
        try:
            old = read_json(zygote.folder / FILES)
        except (OSError, ValueError) as exc:
            raise NoCopyError("the zygote is gone", lost=True) from exc
        files = launch.open_files(stack, machine, image)
        request = struct.pack("=II", 0, len(old) + 1)
        request += b"".join(struct.pack("=QQ", *pair) for pair in (*old, (0, 0)))
        # It begins where the zygote is, which whoever made that may end: it has to be taken out of there.
        groups = cgroups.create(machine.id, hardware, cpus) or cgroups.own(zygote.pid())
        if groups is None:
            raise NoCopyError("the zygote is in another session, which would take its copies with it")
        _ask(zygote, request, [*files.all(), files.identity])
        pid = os.pread(files.alive, 32, 0)
    # The kernel takes 10 ms and more for this, in which it only waits: the copy starts meanwhile.
    threading.Thread(target=_join, args=(groups, pid)).start()


def _join(groups: Sequence[Path], pid: bytes) -> None:
    for group in groups:
        with contextlib.suppress(OSError):  # it has ended already
            (group / "cgroup.procs").write_bytes(pid)


def _ask(zygote: Machine, request: bytes, files: list[int]) -> None:
    """One request, made again when there is no answer: a copy whose answer nobody takes ends at once."""
    for _ in range(TRIES):
        try:
            with launch.connect(zygote.folder, CALLS, socket.SOCK_SEQPACKET) as sock:
                sock.settimeout(PATIENCE)
                socket.send_fds(sock, [request], files)
                reply = sock.recv(64)
        except TimeoutError:
            continue
        except PicoError as exc:
            raise NoCopyError(exc.message, lost=True) from exc
        if len(reply) != 8:
            raise NoCopyError("the zygote is gone", lost=True)
        error, step = struct.unpack("=ii", reply)
        if error == 0:
            return
        raise NoCopyError(f"the zygote cannot be copied: {STEPS[step]}: {os.strerror(error)}")
    raise NoCopyError("the zygote does not answer", lost=True)
