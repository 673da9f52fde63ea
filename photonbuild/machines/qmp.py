"""A client of QEMU's machine protocol, over a connected socket. Imports nothing that takes time.

https://www.qemu.org/docs/master/interop/qmp-spec.html
"""

from __future__ import annotations

import array
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from photonbuild.errors import PhotonbuildError, VerifyError

LONGEST = 16 << 20  # bytes of one message; QEMU's largest, its own schema, has a quarter of a million


class Qmp:
    """One connection. Commands may be sent ahead of their answers, which come in order; events are kept.

    Whatever goes wrong raises `error`: QEMU refuses a command, gives no answer within `timeout` seconds, or is gone.
    """

    def __init__(
        self, sock: socket.socket, *, timeout: float = 30, error: type[PhotonbuildError] = VerifyError
    ) -> None:
        self._sock = sock
        self._timeout = timeout
        self._error = error
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
            raise self._error(f"the machine is gone: {exc.strerror}") from exc
        self._waiting.append(command)

    def wait(self) -> Any:
        """Wait for every answer; the last one's value."""
        value = None
        while self._waiting:
            message = self._next(self._timeout)
            if "event" in message:
                self._events.append(message)
                continue
            if "QMP" in message:
                continue
            command = self._waiting.pop(0)
            if "return" not in message:
                error = message.get("error")
                reason = error.get("desc") if isinstance(error, dict) else None
                raise self._error(f"qemu refused {command}: {str(reason or 'it does not say why')[:2000]}")
            value = message["return"]
        return value

    def call(self, command: str, arguments: Mapping[str, Any] | None = None, *, fd: int | None = None) -> Any:
        """Send a command and wait for its answer; its value."""
        self.send(command, arguments, fd=fd)
        return self.wait()

    def monitor(self, line: str) -> None:
        """A command of the human monitor that prints nothing when it works."""
        said = str(self.call("human-monitor-command", {"command-line": line})).strip()
        if said:
            raise self._error(said.splitlines()[-1].removeprefix("Error: "))

    def wait_for_migration(self) -> None:
        """Wait until a migration, to or from a file, is complete. Needs the capability ``events``."""
        self.wait()
        ends = time.monotonic() + self._timeout
        while True:
            event = self._events.pop(0) if self._events else self._next(ends - time.monotonic())
            data = event.get("data") if event.get("event") == "MIGRATION" else None
            status = data.get("status") if isinstance(data, dict) else None
            if status == "completed":
                return
            if status == "failed":
                raise self._error("qemu could not read or write the machine's state")

    def close(self) -> None:
        self._sock.close()

    def _next(self, seconds: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._sock.settimeout(max(seconds, 0.001))
            try:
                data = self._sock.recv(65536)
            except TimeoutError:
                raise self._error(f"no answer from qemu within {self._timeout:.0f} s") from None
            except OSError as exc:
                raise self._error(f"the machine is gone: {exc.strerror}") from exc
            if not data:
                raise self._error("the machine ended")
            self._buffer += data
            if len(self._buffer) > LONGEST:
                raise self._error("qemu says more at once than it ever does")
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise self._error("what qemu says is no message of its protocol")
        return message
