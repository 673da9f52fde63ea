"""A cluster on this machine: storage, scheduler and workers of Buildbarn, each worker in its own network namespace.

All of it ends with the block: processes by their ids, links and namespaces by their names.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from photonbuild.remote import buildbarn

START_SECONDS = 60
NOBODY = 65534
STORAGE, SCHEDULER_CLIENTS, SCHEDULER_WORKERS = 8980, 8982, 8983


@dataclass
class Network:
    """A bridge, and a network namespace at each of its links: namespaces 2, 3, … have the addresses ….2, ….3, …"""

    number: int = field(default_factory=lambda: free_number())
    names: list[str] = field(default_factory=list)

    @property
    def bridge(self) -> str:
        return f"pbbr{self.number}"

    def address(self, host: int = 1) -> str:
        return f"10.213.{self.number}.{host}"

    def __enter__(self) -> Network:
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.address()}/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        return self

    def __exit__(self, *exc: object) -> None:
        for name in self.names:
            # Builds outlive a runner that was killed.
            for pid in subprocess.run(["ip", "netns", "pids", name], capture_output=True).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            ip("netns", "del", name, check=False)
        ip("link", "del", self.bridge, check=False)

    def namespace(self) -> str:
        """A new one; its link on this side has the same name."""
        host = len(self.names) + 2
        name = f"pb{self.number}n{host}"
        ip("netns", "add", name)
        self.names.append(name)
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", name, "master", self.bridge, "up")
        for words in (
            ("addr", "add", f"{self.address(host)}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            ip("-n", name, *words)
        return name

    def cut(self, name: str) -> None:
        ip("link", "set", name, "down")

    def mend(self, name: str) -> None:
        ip("link", "set", name, "up")


def free_number() -> int:
    """A number that no network here has; those of other processes begin elsewhere."""
    numbers = ((os.getpid() * 7 + step) % 250 + 1 for step in range(250))
    return next(number for number in numbers if not Path(f"/sys/class/net/pbbr{number}").exists())


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=not check)


@dataclass
class Program:
    """A program of the cluster: how it is started again, and its process."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self.process is None
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **self.environment},
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()


@dataclass
class Cluster:
    """A running cluster. `address`: what a client is given."""

    programs: Path
    folder: Path
    network: Network
    platform: Mapping[str, str] = field(default_factory=dict)
    running: dict[str, Program] = field(default_factory=dict)
    namespaces: dict[str, str] = field(default_factory=dict)
    homes: dict[str, Path] = field(default_factory=dict)
    tls: Mapping[str, Any] | None = None
    policy: Mapping[str, Any] = field(default_factory=lambda: buildbarn.ALLOW)

    @property
    def address(self) -> str:
        return f"{'grpcs' if self.tls else 'grpc'}://{self.network.address()}:{STORAGE}"

    @property
    def workers(self) -> list[str]:
        return sorted(self.namespaces)

    def start_storage(self, *, size: int = 6 << 30, execution: bool = True) -> None:
        """The storage: for clients (where they have to show who they are if that is asked for), and for the rest."""
        folder = self.folder / "storage"
        for path in buildbarn.storage_folders(folder):
            path.mkdir(parents=True, exist_ok=True)
        servers = [
            buildbarn.server(f"{self.network.address()}:{STORAGE}", tls=self.tls, policy=self.policy),
            buildbarn.server(f"{self.network.address()}:{STORAGE + 1}"),
        ]
        scheduler = {"address": f"{self.network.address()}:{SCHEDULER_CLIENTS}"} if execution else None
        self._start("storage", "bb_storage", buildbarn.storage(folder, servers, scheduler=scheduler, size=size))
        self.await_port(STORAGE)

    def start_scheduler(self) -> None:
        servers = [
            buildbarn.server(f"{self.network.address()}:{port}") for port in (SCHEDULER_CLIENTS, SCHEDULER_WORKERS)
        ]
        settings = buildbarn.scheduler(*servers, storage=self._storage)
        self._start("scheduler", "bb_scheduler", settings)
        self.await_port(SCHEDULER_CLIENTS)

    def start_worker(
        self,
        name: str,
        *,
        slots: int = 1,
        lives_on: Path | None = None,
        unpacked: Path | None = None,
        ordinary: bool = False,
    ) -> None:
        """A worker and its runner in a namespace of their own. `lives_on`: another folder for all that it writes;
        `unpacked`: where one of this name has left its seeds in another cluster.

        Those of an `ordinary` user are nobody's, with sub-ids that only they see.
        """
        folder = (lives_on or self.folder) / name
        folder.mkdir()
        if unpacked is not None:
            (unpacked / name).mkdir(parents=True, exist_ok=True)
            (folder / "cache").symlink_to(unpacked / name)
        for path in buildbarn.worker_folders(folder):
            path.mkdir(exist_ok=True)
        self.namespaces[name], self.homes[name] = self.network.namespace(), folder
        inside = ["ip", "netns", "exec", self.namespaces[name]]
        if ordinary:
            inside += self._as_nobody(folder)
        self._start(f"{name}-runner", "bb_runner", buildbarn.runner(folder), inside)
        deadline = time.monotonic() + START_SECONDS
        while not (folder / "runner.sock").exists():
            assert time.monotonic() < deadline, self.log(f"{name}-runner")
            time.sleep(0.05)
        settings = buildbarn.worker(
            folder,
            storage=self._storage,
            scheduler={"address": f"{self.network.address()}:{SCHEDULER_WORKERS}"},
            name=name,
            slots=slots,
            platform=self.platform,
            files=2 << 30,
            cache=10,
        )
        self._start(name, "bb_worker", settings, inside)

    def _as_nobody(self, folder: Path) -> list[str]:
        for path in (folder, *buildbarn.worker_folders(folder)):
            os.chown(path, NOBODY, NOBODY)
        ids = self.folder / "subids"
        ids.write_text("nobody:300000:65536\n", encoding="ascii")
        change = ["setpriv", "--pdeathsig=KILL", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        mounts = (
            'mount --bind "$0" /etc/subuid; mount --bind "$0" /etc/subgid; mount --bind "$1" /opt; shift 2; exec "$@"'
        )
        return ["sh", "-euc", mounts, str(ids), str(self.programs), "--", *change]

    @property
    def _storage(self) -> dict[str, Any]:
        return {"address": f"{self.network.address()}:{STORAGE + 1}"}

    def _start(self, name: str, program: str, settings: Mapping[str, Any], before: Sequence[str] = ()) -> None:
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        programs = Path("/opt") if "setpriv" in before else self.programs
        argv = [*before, str(programs / program), str(file)]
        self.running[name] = Program(name, argv, self.folder / f"{name}.log", {})
        self.running[name].start()

    def await_port(self, port: int, host: str | None = None) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection((host or self.network.address(), port), timeout=5),
            ):
                return
            dead = [name for name, program in self.running.items() if program.process and program.process.poll()]
            assert not dead and time.monotonic() < deadline, "\n".join(self.log(name) for name in self.running)
            time.sleep(0.05)

    def executed(self) -> int:
        """How many actions workers have begun."""
        return sum(self.running[name].log.read_text(errors="replace").count(" Action: ") for name in self.workers)

    def is_busy(self, worker: str) -> bool:
        text = self.running[worker].log.read_text(errors="replace")
        return text.count(" Action: ") > text.count(" ExecuteResponse: ")

    def home(self, worker: str) -> Path:
        """Where a worker keeps what it has."""
        return self.homes[worker]

    def log(self, name: str) -> str:
        return self.running[name].log.read_text(encoding="utf-8", errors="replace")[-4000:]

    def stop(self) -> None:
        for program in reversed(self.running.values()):
            program.stop()
        self.running.clear()


@contextlib.contextmanager
def cluster(programs: Path, folder: Path, number: int | None = None, **settings: Any) -> Iterator[Cluster]:
    """An empty cluster over the folder, which is gone afterwards. `number`: of its network."""
    folder.mkdir(parents=True)
    try:
        with Network(number or free_number()) as network:
            made = Cluster(programs=programs, folder=folder, network=network, **settings)
            try:
                yield made
            finally:
                made.stop()
    finally:
        shutil.rmtree(folder)
