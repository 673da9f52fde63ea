"""A container in a machine of its own, from what was asked for to its exit code."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from pico import birth, launch, limits, spares, terminal
from pico.birth import Wanted
from pico.errors import CannotRunError, NotFoundError, PicoError
from pico.hardware import ADDRESS, GATEWAY, NAMESERVER
from pico.host import Host
from pico.images import Image
from pico.oci.config import arguments, environment, signal_number
from pico.protocol import Exit
from pico.request import Request
from pico.session import GuestError, GuestGoneError, Process, Session, Setup, Volume
from pico.state import Machine, Record

Say = Callable[[str], None]
GRACE = 10.0


@dataclass(frozen=True)
class Running:
    """A machine and the session over which its container is asked to start."""

    machine: Machine
    record: Record
    session: Session


def start(host: Host, request: Request, image: Image, say: Say) -> Running:
    """Bring a machine up and send it all that makes it this container. Raises PicoError."""
    running, wanted = bring_up(host, request, image, say)
    try:
        running.session.setup(setup_of(request, running.record))
        running.session.start(process_of(running.record, stdin=request.stdin))
    except BaseException:
        discard(running.machine)
        raise
    if wanted.takes_spares and request.fill_spares:
        spares.fill_behind(host, wanted.hardware)
    return running


def bring_up(host: Host, request: Request, image: Image, say: Say) -> tuple[Running, Wanted]:
    """A machine whose agent has answered and waits to be told what it is. Raises PicoError."""
    identity = os.urandom(6).hex()
    record = Record(
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
    if request.ports and request.network == "none":
        raise PicoError("a machine without a network has no ports to publish")
    if request.cpus is not None and not limits.writable():
        say("warning: control groups cannot be written here: --cpus bounds the number of processors only")
    wanted = Wanted(
        hardware=host.hardware(
            memory=request.memory,
            cpus=math.ceil(request.cpus) if request.cpus else None,
            volumes=len(request.shares),
        ),
        image=image.disk,
        network=request.network != "none",
        shares=request.shares,
        forwards=[port.forward for port in request.ports],
        cpus=request.cpus,
        cold=request.cold,
        use_spares=request.use_spares,
    )
    machine, record = birth.bring_up(host, record, wanted, say)
    try:
        session, _ = launch.greet(machine.folder, "port0", host.timeout)
    except GuestError as exc:
        exc.detail = exc.detail or launch.qemu_said(machine.folder)
        discard(machine)
        raise translated(exc) from exc
    except BaseException:
        discard(machine)
        raise
    return Running(machine, record, session), wanted


def setup_of(request: Request, record: Record) -> Setup:
    """What the machine is told about itself: it has nothing of its own before."""
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


def process_of(record: Record, *, stdin: bool) -> Process:
    rows, columns = terminal.size() if record.tty else (24, 80)
    return Process(
        args=record.args,
        env=record.variables,
        cwd=record.cwd,
        user=record.user,
        groups=record.groups,
        tty=record.tty,
        rows=rows,
        columns=columns,
        stdin=stdin,
    )


def attached(running: Running, host: Host, *, stdin: bool) -> int:
    """Carry the container's streams to its end; its exit code. Raises PicoError."""
    machine = running.machine
    try:
        ended = terminal.attach(running.session, stdin=stdin, is_tty=running.record.tty)
    except GuestGoneError:
        machine.wait(GRACE)
        return finished(running, None)
    except GuestError as exc:
        discard(machine)
        raise translated(exc) from exc
    if ended is None:  # taken over by another one who attached
        return 0
    return finished(running, ended)


def finished(running: Running, ended: Exit | None) -> int:
    """The machine's end after its container's: the exit code, and nothing left if it is to be removed."""
    machine, record = running.machine, running.record
    written = any(volume.endswith(":rw") for volume in record.volumes)
    if written or not record.remove:
        machine.wait(GRACE)
    machine.kill()
    status = ended.status if ended else machine.exit_code()
    limits.remove(machine.id)
    if record.remove:
        machine.remove()
    return status


def detached(running: Running, host: Host) -> str:
    """Let the container go on by itself once it has started; its id. Raises PicoError."""
    try:
        running.session.started(host.timeout)
    except GuestError as exc:
        discard(running.machine)
        raise translated(exc) from exc
    return running.machine.id


def discard(machine: Machine) -> None:
    """Nothing is left of a machine whose container never began."""
    machine.kill()
    limits.remove(machine.id)
    machine.remove()


def translated(error: GuestError) -> PicoError:
    """The guest's error with the exit code that docker has for it."""
    kinds = {"ENOENT": NotFoundError, "EACCES": CannotRunError, "ENOEXEC": CannotRunError, "EISDIR": CannotRunError}
    kind = kinds.get(error.code, PicoError) if error.what == "start" else PicoError
    return kind(error.message, where=error.where, detail=error.detail, hint=error.hint)
