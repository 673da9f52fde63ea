"""What can be done to a container that runs: another process in it, a signal, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence

from pico.containers.request import WINDOW
from pico.containers.run import GRACE, Attach, docker_error, settling, writes_volumes
from pico.errors import PicoError
from pico.guest.errors import GuestGoneError
from pico.guest.messages import Process
from pico.guest.protocol import MAIN, MAX_PROCESS, ProtocolError
from pico.guest.session import Session
from pico.vm import cgroups, launch
from pico.vm.state import KILLED, Machine

# Ports by what they are for: 0 is the main process's, the last one is kept free for `stop` and `kill`.
EXEC_PORTS, CONTROL_PORT = (1, 2, 0), 3
ANSWER = 30.0
AGAIN = 0.1  # seconds until a connection that is in use is tried again


@contextlib.contextmanager
def session(machine: Machine, ports: Sequence[int], *, seconds: float = ANSWER) -> Iterator[Session]:
    """A session over the first of `ports` that nobody else uses. Raises PicoError."""
    if machine.pid() is None:
        raise PicoError(f"machine {machine.id} does not run", hint="pico ps --all")
    with _free_port(machine, ports) as name:
        try:
            found, _ = launch.connect_agent(machine.folder, name, seconds)
        except ProtocolError as exc:
            raise PicoError(f"machine {machine.id} gives no answer: {exc.message}") from exc
        with contextlib.closing(found):
            yield found


@contextlib.contextmanager
def _free_port(machine: Machine, ports: Sequence[int]) -> Iterator[str]:
    for number in ports:
        handle = launch.port_lock(machine, number)
        if handle is None:
            continue
        try:
            yield f"port{number}"
        finally:
            os.close(handle)
        return
    raise PicoError(f"all {len(ports)} connections to machine {machine.id} are in use", hint="end one, then try again")


def execute(
    machine: Machine,
    command: Sequence[str],
    *,
    env: Sequence[str] = (),
    cwd: str | None = None,
    user: str | None = None,
    stdin: bool = False,
    tty: bool = False,
    window: tuple[int, int] = WINDOW,
    attach: Attach,
) -> int:
    """Run one more process in a machine, its streams carried by `attach`; its exit code. Raises PicoError."""
    record = machine.record()
    if record is None:
        raise PicoError(f"machine {machine.id} does not run", hint="pico ps --all")
    rows, columns = window
    process = Process(
        args=command,
        env=_merged(record.variables, env),
        cwd=cwd or record.cwd,
        user=record.user if user is None else user,
        groups=record.groups,
        tty=tty,
        rows=rows,
        columns=columns,
        main=False,
        stdin=stdin,
    )
    number = MAIN + 1 + int.from_bytes(os.urandom(4)) % (MAX_PROCESS - MAIN)
    with session(machine, EXEC_PORTS) as found:
        try:
            found.start(process, number)
            ended = attach(found)
        except GuestGoneError:
            return KILLED
        except ProtocolError as exc:
            raise docker_error(exc) from exc
    return ended.status if ended else 0


def _merged(base: Sequence[str], more: Sequence[str]) -> list[str]:
    """The last of a name wins."""
    return [f"{name}={value}" for name, value in dict(entry.split("=", 1) for entry in (*base, *more)).items()]


def stop(machine: Machine, seconds: float) -> None:
    """The container's stop signal, after `seconds` the end; returns when the machine is gone. Raises PicoError."""
    record = machine.record()
    if machine.pid() is None:
        return
    if record is not None:
        _end(machine, record.stop_signal, seconds, patience=settling(record))
    machine.kill()
    cgroups.remove(machine.id)


def kill(machine: Machine, number: int) -> None:
    """Send a signal to the container's main process; SIGKILL ends the machine at once. Raises PicoError.

    What the container has written to a volume is kept as its kernel would be: the machine is given a moment for it.
    """
    if machine.pid() is None:
        raise PicoError(f"machine {machine.id} does not run", hint="pico ps --all")
    if number == signal.SIGKILL:
        record = machine.record()
        if record is not None and writes_volumes(record):
            _end(machine, number, 0, patience=GRACE)
        machine.kill()
        cgroups.remove(machine.id)
        return
    with session(machine, (CONTROL_PORT,)) as found:
        found.signal(number, MAIN)
        found.ping(ANSWER)


def _end(machine: Machine, number: int, seconds: float, *, patience: float) -> None:
    """Ask the agent to end the container: by a signal, after `seconds` by force, and to write out what is left.

    Returns when the machine is gone, or after `seconds` and `patience`.
    """
    ends = time.monotonic() + seconds + patience
    while (left := ends - time.monotonic()) > 0 and machine.pid() is not None:
        try:
            with session(machine, (CONTROL_PORT,), seconds=left) as found:
                found.shutdown(signal=number, seconds=seconds)
                machine.wait(max(ends - time.monotonic(), 0))
        except (PicoError, ProtocolError):  # another one talks to it just now, or it is busy
            machine.wait(min(AGAIN, left))
