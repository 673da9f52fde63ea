"""A machine as a folder: what it is, whether it lives, how it ended. No daemon keeps this; the kernel does.

A machine's QEMU holds a lock on the file ``alive`` of its folder for as long as it lives, and that file holds its
process id: so a machine is known to live, and which process it is, whatever became of the program that started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from photonbuild.files import locked, read_json, write_json
from pico.errors import PicoError
from pico.guest.protocol import Exit, ProtocolError, read_log

PRIVATE = 0o700
State = Literal["created", "running", "exited", "spare"]
KILLED = 128 + signal.SIGKILL
RECORD, EXIT = "machine.json", "exit.json"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What was asked for: written before the machine starts and never changed. `created` in seconds since 1970.

    `hostname` is empty for one that is the id, `env` is without it. `birth` is how the machine came to be: ``cold``,
    ``clone``, ``copy`` or ``spare``.
    """

    id: str
    name: str
    image: str
    digest: str
    args: list[str]
    env: list[str]
    cwd: str
    user: str
    stop_signal: int
    created: float
    hostname: str
    birth: str
    template: str
    memory: int
    cpus: float
    network: str
    ports: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    tty: bool = False
    remove: bool = False

    @property
    def host(self) -> str:
        """The host name inside."""
        return self.hostname or self.id

    @property
    def variables(self) -> list[str]:
        """The environment of its processes."""
        known = any(entry.startswith("HOSTNAME=") for entry in self.env)
        return self.env if known else [f"HOSTNAME={self.host}", *self.env]


@dataclass(frozen=True)
class Machine:
    """A machine's folder. Its id is the folder's name."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def record(self) -> Record | None:
        """None for a spare, and for what was given up before it was started."""
        try:
            return Record(**json.loads((self.folder / RECORD).read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def pid(self) -> int | None:
        """The process id of its QEMU, or None when it does not live."""
        try:
            handle = os.open(self.folder / "alive", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(handle, 10, 0)
            return int(text) if text.isdigit() else 0
        finally:
            os.close(handle)
        return None

    def state(self) -> State:
        known = (self.folder / RECORD).exists()
        if self.pid() is not None:
            return "running" if known else "spare"
        return "exited" if known and self.log.exists() and self.log.stat().st_size else "created"

    def exit_code(self) -> int:
        """Of a machine that has ended: its main process's exit code, 137 when the machine itself was ended."""
        mark = self._log_mark()
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            known = read_json(self.folder / EXIT)
            if known["log"] == mark:
                return int(known["code"])
        found = self._exit_code()
        with contextlib.suppress(OSError):  # of another user's machine, or on a full disk
            write_json(self.folder / EXIT, {"log": mark, "code": found})
        return found

    def _log_mark(self) -> list[int]:
        """What changes with the log."""
        try:
            found = self.log.stat()
        except OSError:
            return []
        return [found.st_size, found.st_mtime_ns]

    def _exit_code(self) -> int:
        found = KILLED
        with contextlib.suppress(ProtocolError):
            for entry in read_log(self.log):
                if entry.kind == "exited" and entry.frame.process == 1:
                    found = Exit.of(entry.frame).status
                elif entry.kind == "error":
                    found = PicoError.exit_code
        return found

    def kill(self, seconds: float = 10) -> None:
        """End its QEMU at once and wait until it is gone. Raises PicoError when it does not go."""
        ends = time.monotonic() + seconds
        while (pid := self.pid()) is not None:
            if time.monotonic() > ends:
                raise PicoError(f"process {pid} of machine {self.id} does not end")
            if pid == 0:  # it is only just being started
                time.sleep(0.005)
                continue
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    if self.pid() == pid:
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                    _gone(handle, ends - time.monotonic())
                finally:
                    os.close(handle)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; False when it still lives after `seconds`."""
        ends = None if seconds is None else time.monotonic() + seconds
        while (pid := self.pid()) is not None:
            left = None if ends is None else ends - time.monotonic()
            if left is not None and left <= 0:
                return False
            if pid == 0:
                time.sleep(0.005)
                continue
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    _gone(handle, left)
                finally:
                    os.close(handle)
        return True

    def remove(self) -> None:
        """Remove the folder of a machine that does not live, and its name."""
        record = self.record()
        if record is not None:
            link = self.folder.parent.parent / "names" / record.name
            with contextlib.suppress(OSError):
                if os.readlink(link) == f"../machines/{self.id}":
                    link.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


def _gone(handle: int, seconds: float | None) -> None:
    """Wait for the end of the process of a pidfd."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(None if seconds is None else max(seconds, 0) * 1000)
    time.sleep(0.0005)  # its files are closed, and so its lock freed, just before or after


def create(root: Path, record: Record) -> Machine:
    """A folder for a new machine under a name that is free. Raises PicoError when the name is taken."""
    machine = Machine(root / "machines" / record.id)
    machine.folder.parent.mkdir(parents=True, exist_ok=True)
    machine.folder.mkdir(mode=PRIVATE)
    try:
        adopt(machine, record, root)
    except BaseException:
        shutil.rmtree(machine.folder, ignore_errors=True)
        raise
    return machine


def adopt(machine: Machine, record: Record, root: Path) -> None:
    """Give a folder its name and its record, so that it is a machine from now on. Raises PicoError."""
    names = root / "names"
    names.mkdir(parents=True, exist_ok=True)
    link = names / record.name
    for _ in range(2):
        try:
            os.symlink(f"../machines/{record.id}", link)
            break
        except FileExistsError:
            if link.exists():
                raise PicoError(
                    f"the name '{record.name}' is taken by machine {os.readlink(link)[-12:]}",
                    hint=f"pico rm -f {record.name}, or take another name",
                ) from None
            with locked(root / "names.lock"):
                if not link.exists():
                    link.unlink(missing_ok=True)
    machine.folder.chmod(PRIVATE)  # its variables are secrets, and what it says
    write_json(machine.folder / RECORD, asdict(record))


def machines(root: Path) -> list[Machine]:
    """All machines, oldest first; also those that were given up half-way, but no spares."""
    folder = root / "machines"
    found = [Machine(path) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(found, key=lambda machine: (_created(machine), machine.id))


def _created(machine: Machine) -> float:
    try:
        return machine.folder.stat().st_ctime
    except FileNotFoundError:
        return 0.0


def find(root: Path, wanted: str) -> Machine:
    """A machine by its name, or by its id or the beginning of it. Raises PicoError."""
    link = root / "names" / wanted
    if wanted and "/" not in wanted and link.exists():
        return Machine(root / "machines" / os.readlink(link).rpartition("/")[2])
    matches = [machine for machine in machines(root) if wanted and machine.id.startswith(wanted)]
    if len(matches) != 1:
        what = f"{len(matches)} machines have an id that begins with" if matches else "there is no machine"
        raise PicoError(f"{what} '{wanted}'", hint="pico ps --all")
    return matches[0]
