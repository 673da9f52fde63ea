"""QEMU's machine protocol over a connected socket. https://www.qemu.org/docs/master/interop/qmp-spec.html"""

from __future__ import annotations

import array
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from pico.errors import PicoError


class QmpError(PicoError):
    """QEMU refused a command, or is gone."""


class Qmp:
    """One connection. Commands may be sent ahead of their answers, which come in order; events are kept."""

    def __init__(self, sock: socket.socket, *, timeout: float = 30) -> None:
        self._sock = sock
        self._timeout = timeout
        self._buffer = b""
        self._waiting: list[str] = []
        self._events: list[dict[str, Any]] = []
        self.send("qmp_capabilities")

    def send(self, command: str, arguments: Mapping[str, Any] | None = None, *, fd: int | None = None) -> None:
        """Send a command and do not wait; `fd` goes along with it."""
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        try:
            self._sock.sendmsg([json.dumps(request).encode() + b"\n"], rights)
        except OSError as exc:
            raise QmpError(f"the machine is gone: {exc.strerror}") from exc
        self._waiting.append(command)

    def settle(self) -> Any:
        """Wait for every answer; the last one's value. Raises QmpError for the first command that failed."""
        value = None
        while self._waiting:
            message = self._next(self._timeout)
            if "event" in message:
                self._events.append(message)
                continue
            if "QMP" in message:
                continue
            command = self._waiting.pop(0)
            if "error" in message:
                raise QmpError(f"qemu refused {command}: {message['error']['desc']}")
            value = message["return"]
        return value

    def call(self, command: str, arguments: Mapping[str, Any] | None = None, *, fd: int | None = None) -> Any:
        """Send a command and wait for its answer."""
        self.send(command, arguments, fd=fd)
        return self.settle()

    def monitor(self, line: str) -> None:
        """A command of the human monitor that prints nothing when it works."""
        said = str(self.call("human-monitor-command", {"command-line": line})).strip()
        if said:
            raise QmpError(said.splitlines()[-1].removeprefix("Error: "))

    def migrated(self) -> None:
        """Wait until a migration, to or from a file, is complete. Needs the capability ``events``."""
        self.settle()
        ends = time.monotonic() + self._timeout
        while True:
            event = self._events.pop(0) if self._events else self._next(ends - time.monotonic())
            status = event.get("data", {}).get("status") if event.get("event") == "MIGRATION" else None
            if status == "completed":
                return
            if status == "failed":
                raise QmpError("qemu could not read or write the template's state")

    def close(self) -> None:
        self._sock.close()

    def _next(self, seconds: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._sock.settimeout(max(seconds, 0.001))
            try:
                data = self._sock.recv(65536)
            except TimeoutError:
                raise QmpError(f"no answer from qemu within {self._timeout:.0f} s") from None
            except OSError as exc:
                raise QmpError(f"the machine is gone: {exc.strerror}") from exc
            if not data:
                raise QmpError("the machine ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
