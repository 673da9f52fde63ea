"""The consoles that an installation talks to: all of the machine's at once, or the terminal it was started in."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.installer.errors import Declined

ACTIVE = Path("/sys/class/tty/console/active")


def console_names(active: str) -> list[str]:
    """Devices of the kernel's consoles; what it calls tty0 is the screen, whose first terminal is tty1."""
    return [f"/dev/{'tty1' if name == 'tty0' else name}" for name in active.split()]


@dataclass
class Terminals:
    """Pairs of descriptors to read from and to write to. A question is asked on all, the first answer counts."""

    pairs: list[tuple[int, int]]
    _buffers: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def consoles(cls) -> Terminals:
        """Every console of the machine that can be opened."""
        pairs = []
        for name in console_names(ACTIVE.read_text(encoding="ascii") if ACTIVE.exists() else "tty0"):
            with contextlib.suppress(OSError):
                number = os.open(name, os.O_RDWR | os.O_NOCTTY)
                pairs.append((number, number))
        return cls(pairs)

    @classmethod
    def standard(cls) -> Terminals:
        return cls([(0, 1)])

    def write(self, text: str) -> None:
        for _, output in self.pairs:
            end = "\r\n" if os.isatty(output) else "\n"
            with contextlib.suppress(OSError):
                os.write(output, (text.replace("\n", end) + end).encode(errors="replace"))

    def ask(self, question: str, *, secret: bool = False) -> str:
        """One line, without white space around it. Raises Declined when no console is left to answer."""
        return self._line(question, secret=secret)[0]

    def entered(self, text: str, seconds: float) -> bool:
        """Show `text`; whether a line, even an empty one, then comes from a console within that time."""
        with contextlib.suppress(Declined):
            while self._read(0):
                pass
        self._buffers.clear()
        self.write(text)
        with contextlib.suppress(Declined):
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                self._read(left)
                if any(b"\n" in data for data in self._buffers.values()):
                    self._buffers.clear()
                    return True
            return False
        time.sleep(seconds)
        return False

    def shell_on_request(self, text: str) -> None:
        """Wait for Enter on one of the consoles, and run a shell there until it is left."""
        descriptor = self._line(text)[1]
        subprocess.run(
            ["bash", "-i"], stdin=descriptor, stdout=descriptor, stderr=descriptor, check=False, start_new_session=True,
            preexec_fn=lambda: _make_controlling(0),
        )  # fmt: skip

    def _line(self, question: str, *, secret: bool = False) -> tuple[str, int]:
        with self._without_echo() if secret else contextlib.nullcontext():
            for _, output in self.pairs:
                with contextlib.suppress(OSError):
                    os.write(output, question.encode())
            while True:
                for descriptor, data in self._buffers.items():
                    if b"\n" in data:
                        line, _, self._buffers[descriptor] = data.partition(b"\n")
                        if secret:
                            self.write("")
                        return line.decode(errors="replace").strip(), descriptor
                self._read()

    def _read(self, timeout: float | None = None) -> bool:
        """Whether anything came, or a console went, within `timeout` seconds. Raises Declined when none is left."""
        inputs = [descriptor for descriptor, _ in self.pairs]
        if not inputs:
            raise Declined("nobody answers: there is no console", hint="give a kickstart with ks= instead")
        ready = select.select(inputs, [], [], timeout)[0]
        for descriptor in ready:
            try:
                data = os.read(descriptor, 4096)
            except OSError:
                data = b""
            if data:
                self._buffers[descriptor] = self._buffers.get(descriptor, b"") + data.replace(b"\r", b"\n")
            else:
                self.pairs = [pair for pair in self.pairs if pair[0] != descriptor]
        return bool(ready)

    @contextlib.contextmanager
    def _without_echo(self) -> Iterator[None]:
        before = {descriptor: termios.tcgetattr(descriptor) for descriptor, _ in self.pairs if os.isatty(descriptor)}
        try:
            for descriptor, modes in before.items():
                silent = [*modes[:3], modes[3] & ~termios.ECHO, *modes[4:]]
                termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
            yield
        finally:
            for descriptor, modes in before.items():
                termios.tcsetattr(descriptor, termios.TCSADRAIN, modes)


def _make_controlling(descriptor: int) -> None:
    """Make the terminal the controlling one of a new session, so that the shell has job control."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, termios.TIOCSCTTY, 1)
