"""A container in a machine of its own, from the request to the exit code."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from pico.containers.request import Request
from pico.errors import CannotRunError, NotFoundError, PicoError
from pico.factory import create as factory
from pico.factory import pool
from pico.factory.create import MachineSpec
from pico.guest.errors import GuestError, GuestGoneError
from pico.guest.messages import Process, Setup, Volume
from pico.guest.protocol import Exit, ProtocolError
from pico.guest.session import Session
from pico.oci.config import arguments, environment, signal_number
from pico.oci.store import Image
from pico.vm import cgroups, launch
from pico.vm.host import Host
from pico.vm.qemu import ADDRESS, GATEWAY, NAMESERVER
from pico.vm.state import Machine, Record

Say = Callable[[str], None]
# Carries the streams of a session's process until it ends; None when another has attached to it.
Attach = Callable[[Session], Exit | None]
# Seconds for the end of a machine; much of what was written to a volume may still be on its way.
GRACE, LONG_GRACE = 10.0, 60.0


@dataclass(frozen=True)
class Container:
    """A machine and the session over which its container is started and attached to."""

    machine: Machine
    record: Record
    session: Session
    held: int  # the lock of the port: it is being started, or attached to

    def let_go(self) -> None:
        """Others may attach to it."""
        self.session.close()
        os.close(self.held)


def start(host: Host, request: Request, image: Image, say: Say) -> Container:
    """Create a machine and send it all that makes it this container. Raises PicoError."""
    container, spec = create(host, request, image, say)
    try:
        container.session.setup(setup_of(request, container.record))
        container.session.start(process_of(request, container.record))
    except BaseException:
        launch.discard(container.machine)
        raise
    if spec.takes_spares and request.fill_spares:
        pool.fill_in_background(host, spec.hardware)
    return container


def create(host: Host, request: Request, image: Image, say: Say) -> tuple[Container, MachineSpec]:
    """A machine whose agent has answered and waits to be told what it is. Raises PicoError."""
    record, spec = record_of(host, request, image), spec_of(host, request, image)
    if request.ports and not spec.network:
        raise PicoError("a machine without a network has no ports to publish")
    asked = [f"--{name}" for name in ("cpus", "memory") if getattr(request, name) is not None]
    if asked and (reason := cgroups.problem()):
        what = " and ".join(asked)
        say(f"warning: control groups cannot be written here: {what} of the guest only, not of its QEMU ({reason})")
    machine, record = factory.create(host, record, spec, say)
    try:
        held = launch.port_lock(machine, 0)
        assert held is not None, "nobody else knows of it"
        session, _ = launch.connect_agent(machine.folder, "port0", host.timeout)
    except ProtocolError as exc:
        exc.detail = exc.detail or launch.qemu_output(machine.folder)
        launch.discard(machine)
        raise docker_error(exc) from exc
    except BaseException:
        launch.discard(machine)
        raise
    return Container(machine, record, session, held), spec


def record_of(host: Host, request: Request, image: Image) -> Record:
    """What is kept of the request, with what the image and the settings decide. Raises PicoError."""
    identity = os.urandom(6).hex()
    return Record(
        id=identity,
        name=request.name or f"pico-{identity}",
        image=request.image,
        digest=image.id,
        args=arguments(image.config, request.entrypoint, request.command, request.image),
        env=environment(image.config, request.env, tty=request.tty),
        cwd=request.cwd or image.config.cwd,
        user=image.config.user if request.user is None else request.user,
        groups=list(request.groups),
        stop_signal=signal_number(request.stop_signal or image.config.stop_signal),
        created=time.time(),
        hostname=request.hostname or "",
        birth="",
        template="",
        memory=request.memory or host.memory,
        cpus=request.cpus or host.cpus,
        network=request.network,
        ports=[str(port) for port in request.ports],
        volumes=[f"{share.source}:{share.target}:{'ro' if share.readonly else 'rw'}" for share in request.shares],
        tty=request.tty,
        remove=request.remove,
    )


def spec_of(host: Host, request: Request, image: Image) -> MachineSpec:
    """The machine for a request."""
    return MachineSpec(
        hardware=host.hardware(
            memory=request.memory,
            cpus=math.ceil(request.cpus) if request.cpus else None,
            volumes=len(request.shares),
        ),
        image=image.disk,
        network=request.network != "none",
        shares=request.shares,
        ports=request.ports,
        cpus=request.cpus,
        cold=request.cold,
        use_spares=request.use_spares,
    )


def setup_of(request: Request, record: Record) -> Setup:
    """The identity and the surroundings of the machine: a clone has none of its own before."""
    connected = request.network != "none"
    random = os.urandom(5)
    return Setup(
        entropy=os.urandom(64),
        hostname=record.host,
        machine_id=os.urandom(16).hex(),
        mac=":".join(f"{byte:02x}" for byte in (0x52, *random)) if connected else None,
        network="static" if connected else "none",
        address=ADDRESS if connected else None,
        gateway=GATEWAY if connected else None,
        dns=[NAMESERVER] if connected else [],
        volumes=[
            Volume(tag=f"volume{number}", target=share.target, readonly=share.readonly, part=share.part)
            for number, share in enumerate(request.shares)
        ],
        tmpfs=request.tmpfs,
        readonly=request.readonly,
    )


def process_of(request: Request, record: Record) -> Process:
    """The container's main process."""
    rows, columns = request.window
    return Process(
        args=record.args,
        env=record.variables,
        cwd=record.cwd,
        user=record.user,
        groups=record.groups,
        tty=record.tty,
        rows=rows,
        columns=columns,
        stdin=request.stdin,
    )


def wait(container: Container, attach: Attach) -> int:
    """Carry the container's streams to its end; its exit code. Raises PicoError."""
    machine = container.machine
    try:
        ended = attach(container.session)
    except GuestGoneError:
        machine.wait(GRACE)
        return finish(container, None)
    except ProtocolError as exc:
        launch.discard(machine)
        raise docker_error(exc) from exc
    if ended is None:  # taken over by another one who attached
        return 0
    return finish(container, ended)


def finish(container: Container, ended: Exit | None) -> int:
    """End the machine of a container that has ended, and remove it if that was asked; the exit code."""
    machine, record = container.machine, container.record
    if writes_volumes(record) or not record.remove:
        machine.wait(settling(record))
    machine.kill()
    status = ended.status if ended else machine.exit_code()
    cgroups.remove(machine.id)
    if record.remove:
        machine.remove()
    return status


def writes_volumes(record: Record) -> bool:
    """Can there be data of the caller's that the guest's kernel has not written yet?"""
    return any(volume.endswith(":rw") for volume in record.volumes)


def settling(record: Record) -> float:
    """Seconds that a machine has for its end, after all its processes have ended."""
    return LONG_GRACE if writes_volumes(record) else GRACE


def detach(container: Container, host: Host) -> str:
    """Let the container go on by itself once it has started; its id. Raises PicoError."""
    try:
        container.session.started(host.timeout)
    except ProtocolError as exc:
        launch.discard(container.machine)
        raise docker_error(exc) from exc
    container.let_go()
    return container.machine.id


def docker_error(error: ProtocolError) -> PicoError:
    """The guest's error with the exit code that docker has for it."""
    if not isinstance(error, GuestError):
        return PicoError(f"the guest does not speak as it should: {error.message}", where=error.where)
    kinds = {"ENOENT": NotFoundError, "EACCES": CannotRunError, "ENOEXEC": CannotRunError, "EISDIR": CannotRunError}
    kind = kinds.get(error.code, PicoError) if error.what == "start" else PicoError
    return kind(error.message, where=error.where, detail=error.detail, hint=error.hint)
