"""The caller's terminal, streams and signals: what a process in a machine is attached to."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType

from pico.guest.protocol import Exit
from pico.guest.session import Session

# Passed on to the container's process, as docker does.
PASSED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def size() -> tuple[int, int]:
    """Rows and columns of the terminal on stdin or stdout; 24 and 80 when neither is one."""
    for fd in (0, 1):
        with contextlib.suppress(OSError):
            found = os.get_terminal_size(fd)
            return found.lines, found.columns
    return 24, 80


def write(fd: int, data: bytes) -> None:
    """All of it, after what Python still holds back."""
    (sys.stdout if fd == 1 else sys.stderr).flush()
    while data:
        data = data[os.write(fd, data) :]


def attach(session: Session, *, stdin: bool, is_tty: bool) -> Exit | None:
    """Carry the streams of the session's process until it ends, with signals and the terminal's size passed on.

    The terminal is raw meanwhile if `is_tty` and there is one, and as before afterwards, however this ends.
    """

    def woken(numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGWINCH:
                if is_tty:
                    session.resize(*size())
            else:
                session.signal(number)

    sys.stdout.flush()
    with _signals() as wakeup, _raw() if is_tty and stdin else contextlib.nullcontext():
        return session.pump(0 if stdin else None, 1, 2, wakeup_fd=wakeup, on_wakeup=woken)


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """Numbers of signals that come, as bytes out of a descriptor."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, _ignored) for number in (*PASSED, signal.SIGWINCH)}
    earlier = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(earlier)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)


def _ignored(number: int, frame: FrameType | None) -> None:
    """The wakeup descriptor tells of the signal."""


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    try:
        before = termios.tcgetattr(0)
    except termios.error:
        yield
        return
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
