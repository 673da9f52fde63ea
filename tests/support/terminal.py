"""The serial port of a machine in QEMU: what it says, and what is typed."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from types import TracebackType
from typing import Self

from photonbuild.machines.qemu import Machine


class Terminal:
    """The other end of a machine's serial port. What the machine has said so far is in `text`."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.text = machine, ""
        self._read = 0

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 20
        while True:
            try:
                self._socket.connect(str(self.machine.terminal))
                break
            except OSError:
                self.machine.check_alive()
                assert time.monotonic() < deadline, "no serial port"
                time.sleep(0.05)
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self._socket.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(4096):
                self.text += data.decode(errors="replace")

    def wait_for(self, *patterns: str, timeout: float) -> re.Match[str]:
        """The first match of one of the patterns in what was not waited for before."""
        deadline = time.monotonic() + timeout
        while True:
            found = [match for match in (re.compile(p).search(self.text, self._read) for p in patterns) if match]
            if found:
                first = min(found, key=lambda match: match.start())
                self._read = first.end()
                return first
            assert time.monotonic() < deadline, f"no {patterns} in {timeout:.0f} s:\n{self.text[-3000:]}"
            self.machine.check_alive()
            time.sleep(0.05)

    def type(self, text: str, *, pause: float = 0.0) -> None:
        for piece in [text] if not pause else re.findall(r"\x1b\[.|.", text, re.S):
            self._socket.sendall(piece.encode())
            time.sleep(pause)
