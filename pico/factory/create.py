"""A machine for a container: a copy of the zygote or a spare, else a clone of the template, or a cold boot."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pico.errors import QmpError
from pico.factory import pool, template, zygote
from pico.vm import cgroups, launch, network, state
from pico.vm.host import Host
from pico.vm.launch import Share, VMConfig
from pico.vm.network import Port
from pico.vm.qemu import DISK, Hardware
from pico.vm.state import Machine, Record

Say = Callable[[str], None]
FDSET = 9  # of a spare: holds the image that it is given


@dataclass(frozen=True, kw_only=True)
class MachineSpec:
    """What a machine is made of, beyond its record."""

    hardware: Hardware
    image: Path
    network: bool
    shares: Sequence[Share] = ()
    ports: Sequence[Port] = ()
    cpus: float | None = None
    cold: bool = False
    use_spares: bool = True

    @property
    def takes_spares(self) -> bool:
        """Can it come out of the pool? What waits there has a network and no volumes; a copy can be without network."""
        return self.use_spares and not self.cold and not self.shares and (self.network or self.hardware.copied)


def create(host: Host, record: Record, spec: MachineSpec, say: Say) -> tuple[Machine, Record]:
    """A machine that runs and whose agent waits for SETUP. Nothing is left of it on failure.

    Raises PicoError, SandboxError.
    """
    frozen = None if spec.cold else template.ensure(host, spec.hardware, say)
    record = replace(record, template=frozen.name if frozen else "")
    with network.published(spec.ports) as sockets:
        if frozen and spec.takes_spares:
            found = (_copy if spec.hardware.copied else _claim)(host, record, spec, sockets)
            if found is not None:
                return found
        return _start(host, record, spec, sockets, frozen)


def _start(
    host: Host, record: Record, spec: MachineSpec, sockets: Sequence[socket.socket], frozen: Path | None
) -> tuple[Machine, Record]:
    record = replace(record, birth="clone" if frozen else "cold")
    machine = state.create(host.folder, record)
    try:
        config = VMConfig(
            hardware=spec.hardware,
            mode="clone" if frozen else "cold",
            network=spec.network,
            template=frozen,
            image=spec.image,
            shares=spec.shares,
            cpus=spec.cpus,
        )
        launch.start(host, machine, config)
        _connect(host, machine, spec, sockets)
        if frozen:
            qmp = launch.connect_qemu(machine.folder)
            template.restore(qmp)
            qmp.call("cont")
            qmp.close()
    except QmpError as exc:
        launch.discard(machine)
        exc.detail = exc.detail or launch.qemu_output(machine.folder)
        raise
    except BaseException:
        launch.discard(machine)
        raise
    return machine, record


def _connect(host: Host, machine: Machine, spec: MachineSpec, sockets: Sequence[socket.socket]) -> None:
    """Its network, before anything in it is told to use one."""
    if spec.network:
        launch.connect_network(host, machine, spec.ports, sockets, cgroups.of(machine.id))


def _copy(
    host: Host, record: Record, spec: MachineSpec, sockets: Sequence[socket.socket]
) -> tuple[Machine, Record] | None:
    """A copy of the template's zygote; None when there is none, or it makes none."""
    parent = zygote.of(host, record.template)
    if parent is None:
        return None
    record = replace(record, birth="copy")
    machine = state.create(host.folder, record)
    try:
        zygote.copy(parent, machine, spec.hardware, spec.image, cpus=spec.cpus)
        qmp = launch.connect_qemu(machine.folder)
        qmp.call("cont")
        qmp.close()
        _connect(host, machine, spec, sockets)
    except (zygote.NoCopyError, QmpError) as exc:
        launch.discard(machine)
        if isinstance(exc, zygote.NoCopyError) and exc.lost:
            pool.discard(parent)
        return None
    except BaseException:
        launch.discard(machine)
        raise
    return machine, record


def _claim(
    host: Host, record: Record, spec: MachineSpec, sockets: Sequence[socket.socket]
) -> tuple[Machine, Record] | None:
    """A spare of the pool; None when none waits, or those that do are broken."""
    for spare in pool.ready_spares(host, record.template):
        handle = os.open(spare.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            machine = Machine(host.folder / "machines" / spare.id)
            machine.folder.parent.mkdir(exist_ok=True)
            os.rename(spare.folder, machine.folder)
            taken = replace(record, id=machine.id, birth="spare")
            try:
                state.adopt(machine, taken, host.folder)
                _assign(machine, spec)
                _connect(host, machine, spec, sockets)
            except QmpError:
                launch.discard(machine)
                continue
            except BaseException:
                launch.discard(machine)
                raise
            return machine, taken
        except (BlockingIOError, FileNotFoundError):
            continue
        finally:
            os.close(handle)
    return None


def _assign(machine: Machine, spec: MachineSpec) -> None:
    """Give a spare its image and its share of the processors, and let it run."""
    qmp = launch.connect_qemu(machine.folder)
    image = os.open(spec.image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        qmp.send("add-fd", {"fdset-id": FDSET}, fd=image)
        file = {"driver": "file", "node-name": "file1", "filename": f"/dev/fdset/{FDSET}"}
        qmp.send("blockdev-add", {**file, "read-only": True, "locking": "off"})
        disk = {"driver": "raw", "node-name": DISK, "file": "file1", "read-only": True}
        qmp.send("blockdev-reopen", {"options": [disk]})
        if spec.cpus is not None:
            cgroups.restrict(machine.id, spec.cpus)
        qmp.call("cont")
    finally:
        os.close(image)
        qmp.close()
