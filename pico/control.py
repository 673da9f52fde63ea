"""What can be done to a machine that runs: another process in it, a signal, its end. And with its log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pico import launch, limits, terminal
from pico.errors import PicoError
from pico.protocol import MAIN, MAX_PROCESS, LogReader, Type
from pico.run import translated
from pico.session import GuestError, GuestGoneError, Process, Session
from pico.state import KILLED, Machine

# Ports by what they are for: 0 is the main process's, the last one is kept free for `stop` and `kill`.
EXEC_PORTS, CONTROL_PORT = (1, 2, 0), 3
ANSWER = 30.0


@contextlib.contextmanager
def session(machine: Machine, ports: Sequence[int], *, seconds: float = ANSWER) -> Iterator[Session]:
    """A session over the first of `ports` that nobody else uses. Raises PicoError."""
    if machine.pid() is None:
        raise PicoError(f"machine {machine.id} does not run", hint="photonbuild pico ps --all")
    with _free_port(machine, ports) as name:
        try:
            found, _ = launch.greet(machine.folder, name, seconds)
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
) -> int:
    """Run one more process in a machine, attached to the caller; its exit code. Raises PicoError."""
    record = machine.record()
    if record is None:
        raise PicoError(f"machine {machine.id} does not run", hint="photonbuild pico ps --all")
    rows, columns = terminal.size() if tty else (24, 80)
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
            ended = terminal.attach(found, stdin=stdin, is_tty=tty)
        except GuestGoneError:
            return KILLED
        except GuestError as exc:
            raise translated(exc) from exc
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
    limits.remove(machine.id)


def kill(machine: Machine, number: int) -> None:
    """Send a signal to the container's main process; SIGKILL ends the machine at once. Raises PicoError."""
    if machine.pid() is None:
        raise PicoError(f"machine {machine.id} does not run", hint="photonbuild pico ps --all")
    if number == signal.SIGKILL:
        machine.kill()
        limits.remove(machine.id)
        return
    with session(machine, (CONTROL_PORT,)) as found:
        found.signal(number, MAIN)
        found.ping(ANSWER)


def logs(machine: Machine, *, follow: bool, timestamps: bool, tail: int | None) -> None:
    """Write what the container's main process has written to our stdout and stderr. Raises PicoError."""
    reader = LogReader(machine.log)
    first = True
    while True:
        alive = machine.pid() is not None
        chunks = [
            (1 if entry.kind == "stdout" else 2, entry.clock, entry.frame.payload)
            for entry in reader.entries()
            if entry.frame.type in (Type.STDOUT, Type.STDERR) and entry.frame.process == MAIN
        ]
        if first and tail is not None:
            chunks = _last_lines(chunks, tail)
        first = False
        for fd, clock, data in chunks:
            _write(fd, _stamped(data, clock) if timestamps else data)
        if not (follow and alive):
            return
        time.sleep(0.1)


def _last_lines(chunks: list[tuple[int, int, bytes]], count: int) -> list[tuple[int, int, bytes]]:
    lines = [(fd, clock, line) for fd, clock, data in chunks for line in data.splitlines(keepends=True)]
    return lines[-count:] if count else []


def _stamped(data: bytes, clock: int) -> bytes:
    stamp = datetime.fromtimestamp(clock / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode()
    return b"".join(stamp + line for line in data.splitlines(keepends=True))


def _write(fd: int, data: bytes) -> None:
    (sys.stdout if fd == 1 else sys.stderr).flush()
    while data:
        data = data[os.write(fd, data) :]
