"""QEMU of the machine seed as a process in a sandbox, reached by console, QMP and ssh."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from photonbuild.errors import VerifyError
from photonbuild.machines.hardware import OVMF, Hardware, qemu_argv, sandbox_for
from photonbuild.machines.qmp import Qmp
from photonbuild.machines.ssh import banner, free_port, one_time_key, ssh_config
from photonbuild.run import Completed, run, tail_of
from photonbuild.sandbox.process import Process


class Machine:
    """A context manager: inside it the machine runs; afterwards nothing of it is left, however the block ends.

    Start it from the main thread: the sandbox ends with the thread that started it.
    """

    def __init__(self, hardware: Hardware, *, seed: Path, scratch: Path) -> None:
        self.hardware = hardware
        self._seed, self._scratch = seed, scratch
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self.hardware.kernel is not None and not self.hardware.kernel.is_file():
            raise VerifyError("no such kernel", where=str(self.hardware.kernel))
        with contextlib.ExitStack() as stack:
            # A short path: socket names are limited to 107 bytes.
            self.folder = Path(tempfile.mkdtemp(prefix="photonbuild-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            key = self.hardware.ssh_key or one_time_key(self.folder)
            self.ssh_port = free_port()
            (self.folder / "ssh_config").write_text(ssh_config(self.folder, self.ssh_port, key))
            (self.folder / "console.log").touch()
            if self.hardware.firmware == "uefi":
                shutil.copyfile(f"{self._seed}{OVMF}/OVMF_VARS_4M.fd", self.folder / "vars.fd")
            self.process = self._start()
            stack.callback(self.process.kill)
            stack.callback(self._close_ssh)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> Process:
        hardware = replace(self.hardware, forwards={**self.hardware.forwards, 22: self.ssh_port})
        if hardware.ssh_key is None and hardware.authorized_key is None:
            hardware = replace(hardware, authorized_key=(self.folder / "key.pub").read_text())
        sandbox = sandbox_for(hardware, self._seed, self._scratch, self.folder)
        self.started = time.monotonic()
        if hardware.interactive:
            return sandbox.popen(qemu_argv(hardware), stdin=None, new_session=False)
        with open(self.folder / "qemu.log", "wb") as log:
            return sandbox.popen(qemu_argv(hardware), stdout=log, stderr=log)

    @property
    def console(self) -> Path:
        """The log of the first serial port."""
        return self.folder / "console.log"

    @property
    def terminal(self) -> Path:
        """A unix socket: the other end of the first serial port, for one who types."""
        return self.folder / "console.sock"

    @property
    def config(self) -> Path:
        """An ssh_config that knows the guest as host ``machine``."""
        return self.folder / "ssh_config"

    def elapsed(self) -> float:
        """Seconds since QEMU was started."""
        return time.monotonic() - self.started

    def check_alive(self) -> None:
        """Raises VerifyError when QEMU has ended, SandboxError when it never began."""
        if self.process.popen.poll() is not None:
            code = self.process.wait()  # raises when the sandbox could not even start it
            raise VerifyError(
                f"the machine ended with exit code {code}",
                detail=tail_of(self.folder / "qemu.log") + "\n" + tail_of(self.console),
            )

    def ssh(self, command: str, *, timeout: float = 120, check: bool = True, input: bytes | None = None) -> Completed:
        """Run a shell command as root in the guest. Raises VerifyError."""
        return run(
            ["ssh", "-F", self.config, "machine", command],
            timeout=timeout, check=check, input=input, error=VerifyError,
        )  # fmt: skip

    def wait_for_ssh(self, timeout: float) -> float:
        """Seconds from start until root could log in. Raises VerifyError with the end of the console."""
        while self.elapsed() < timeout:
            self.check_alive()
            if banner(self.ssh_port).startswith(b"SSH-"):
                done = run(
                    ["ssh", "-F", self.config, "-fNM", "machine"],
                    timeout=60, check=False, log=self.folder / "ssh.log",
                )  # fmt: skip
                if done.returncode == 0:
                    return self.elapsed()
            time.sleep(0.2)
        raise VerifyError(
            f"no ssh login within {timeout:.0f} s",
            detail="\n".join([tail_of(self.folder / "ssh.log", 5), tail_of(self.console, 40)]).strip(),
        )

    def qmp(self, command: str, **arguments: Any) -> Any:
        """One command over QMP; its ``return`` value. Raises VerifyError."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            try:
                sock.connect(str(self.folder / "qmp.sock"))
            except OSError as error:
                raise VerifyError(f"qmp {command}: {error}") from None
            return Qmp(sock, timeout=10).call(command, arguments)

    def shut_down(self, timeout: float = 90) -> float:
        """Press the power button and wait; seconds it took. Raises VerifyError when the guest does not obey."""
        begun = time.monotonic()
        self.qmp("system_powerdown")
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise VerifyError(
                f"still on {timeout:.0f} s after the power button", detail=tail_of(self.console, 30)
            ) from None
        return time.monotonic() - begun

    def _close_ssh(self) -> None:
        if (self.folder / "master").exists():
            run(["ssh", "-F", self.config, "-O", "exit", "machine"], check=False, timeout=20)
