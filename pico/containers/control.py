"""What can be done to a container that runs: another process in it, a signal, its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator, Sequence

from pico.containers.request import WINDOW
from pico.containers.run import Attach, docker_error
from pico.errors import PicoError
from pico.guest.errors import GuestError, GuestGoneError
from pico.guest.messages import Process
from pico.guest.protocol import MAIN, MAX_PROCESS
from pico.guest.session import Session
from pico.vm import cgroups, launch
from pico.vm.state import KILLED, Machine

# Ports by what they are for: 0 is the main process's, the last one is kept free for `stop` and `kill`.
EXEC_PORTS, CONTROL_PORT = (1, 2, 0), 3
ANSWER = 30.0


@contextlib.contextmanager
def session(machine: Machine, ports: Sequence[int], *, seconds: float = ANSWER) -> Iterator[Session]:
    """A session over the first of `ports` that nobody else uses. Raises PicoError."""
    if machine.pid() is None:
        raise PicoError(f"machine {machine.id} does not run", hint="pico ps --all")
    with _free_port(machine, ports) as name:
        try:
            found, _ = launch.connect_agent(machine.folder, name, seconds)
        except GuestError as exc:
            raise PicoError(f"machine {machine.id} gives no answer: {exc.message}") from exc
        with contextlib.closing(found):
            yield found


@contextlib.contextmanager
def _free_port(machine: Machine, ports: Sequence[int]) -> Iterator[str]:
    for number in ports:
        handle = port_lock(machine, number)
        if handle is None:
            continue
        try:
            yield f"port{number}"
        finally:
            os.close(handle)
        return
    raise PicoError(f"all {len(ports)} connections to machine {machine.id} are in use", hint="end one, then try again")


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
        except GuestError as exc:
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
        with contextlib.suppress(PicoError, GuestError), session(machine, (CONTROL_PORT,), seconds=5) as found:
            found.shutdown(signal=record.stop_signal, seconds=seconds)
            machine.wait(seconds + 5)
    machine.kill()
    cgroups.remove(machine.id)


def kill(machine: Machine, number: int) -> None:
    """Send a signal to the container's main process; SIGKILL ends the machine at once. Raises PicoError."""
    if machine.pid() is None:
        raise PicoError(f"machine {machine.id} does not run", hint="pico ps --all")
    if number == signal.SIGKILL:
        machine.kill()
        cgroups.remove(machine.id)
        return
    with session(machine, (CONTROL_PORT,)) as found:
        found.signal(number, MAIN)
        found.ping(ANSWER)
