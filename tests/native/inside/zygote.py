"""The library of the pico zygote in a program with two threads, which is copied again and again.

    ZYGOTE=FOLDER python3 -m unittest tests.native.inside.zygote

FOLDER holds zygote.so and test-threads. Runs in the seed, with the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

HERE = os.environ["ZYGOTE"]


class Copies(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.pids: list[int] = []
        self.service = self.listen("first")
        self.calls = self.listen("calls", socket.SOCK_SEQPACKET)
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
        self.alive = os.open(os.path.join(self.folder.name, "alive"), os.O_CREAT | os.O_RDWR)
        numbers = [self.service.fileno(), self.calls.fileno(), self.proc, self.alive]
        env = {"LD_PRELOAD": f"{HERE}/zygote.so", "PICO_ZYGOTE": str(numbers[1]), "PICO_PROC": str(self.proc)}
        self.old = [number for fd in (numbers[0], self.alive) for number in (os.fstat(fd).st_dev, os.fstat(fd).st_ino)]
        self.old += [0, 0]  # the file for its number stands for none
        self.process = subprocess.Popen([f"{HERE}/test-threads", str(numbers[0])], env=env, pass_fds=numbers)
        self.service.close()
        self.calls.close()
        self.addCleanup(self.end)

    def end(self) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        os.close(self.proc)
        os.close(self.alive)

    def path(self, name: str) -> str:
        return os.path.join(self.folder.name, name)

    def listen(self, name: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.bind(self.path(name))
        sock.listen()
        return sock

    def ask(self, name: str) -> list[str]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(self.path(name))
            return sock.recv(100).decode().split()

    def request(self, packet: bytes, files: list[int]) -> tuple[int, int]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(10)
            sock.connect(self.path("calls"))
            socket.send_fds(sock, [packet], files)
            error, value = struct.unpack("=ii", sock.recv(8))
            return error, value

    def copy(self, name: str) -> int:
        file = os.open(self.path(f"{name}.pid"), os.O_CREAT | os.O_RDWR)
        with self.listen(name) as sock:
            packet = struct.pack(f"=II{len(self.old)}Q", 0, len(self.old) // 2, *self.old)
            answer = self.request(packet, [sock.fileno(), self.alive, file])
        self.assertEqual(answer[0], 0, answer)
        pid = int(os.pread(file, 16, 0))
        os.close(file)
        self.pids.append(pid)
        return pid

    def status(self, pid: int) -> dict[str, str]:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

    def test_a_copy_goes_on_where_the_original_stands(self) -> None:
        self.assertEqual(self.ask("first"), ["1", str(self.process.pid), "0", "x"])
        self.copy("second")
        self.copy("third")
        self.assertEqual(self.ask("second"), ["2", "1", "0", "x"])
        self.assertEqual(self.ask("second"), ["3", "1", "0", "x"])
        self.assertEqual(self.ask("third"), ["2", "1", "0", "x"])
        self.assertEqual(self.ask("first"), ["2", str(self.process.pid), "0", "x"])

    def test_it_outlives_the_original(self) -> None:
        self.ask("first")
        self.copy("second")
        self.process.kill()
        self.process.wait()
        self.assertEqual(self.ask("second")[:2], ["2", "1"])

    def test_it_has_no_rights(self) -> None:
        self.ask("first")
        pid = self.copy("second")
        status = self.status(pid)
        self.assertEqual(status["Seccomp"], "2")
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Threads"], "2")
        for kind in ("CapPrm", "CapEff", "CapBnd", "CapInh"):
            self.assertEqual(int(status[kind], 16), 0)
        for name in ("user", "mnt", "pid", "ipc", "uts", "net"):
            ours, its = (os.readlink(f"/proc/{which}/ns/{name}") for which in (self.process.pid, pid))
            self.assertNotEqual(ours, its)
        open_files = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        self.assertNotIn("/proc", open_files)
        self.assertNotIn(self.path("second.pid"), open_files)
        # Another program cannot be started: the attempt fails, and the copy goes on.
        self.assertEqual([self.ask("second")[0] for _ in range(4)], ["2", "3", "4", "5"])

    def test_copies_that_have_ended_leave_nothing(self) -> None:
        self.ask("first")
        pid = self.copy("second")
        os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            if not os.path.exists(f"/proc/{pid}"):
                break
            time.sleep(0.02)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))

    def test_nobody_waits_for_the_answer(self) -> None:
        self.ask("first")
        file = os.open(self.path("lost.pid"), os.O_CREAT | os.O_RDWR)
        self.process.send_signal(signal.SIGSTOP)
        with self.listen("lost") as sock, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as calls:
            calls.connect(self.path("calls"))
            socket.send_fds(
                calls, [struct.pack(f"=II{len(self.old)}Q", 0, 3, *self.old)], [sock.fileno(), self.alive, file]
            )
        self.process.send_signal(signal.SIGCONT)
        for _ in range(100):
            if pid := os.pread(file, 16, 0):
                break
            time.sleep(0.02)
        os.close(file)
        for _ in range(100):
            if not os.path.exists(f"/proc/{int(pid)}"):
                break
            time.sleep(0.02)
        self.assertFalse(os.path.exists(f"/proc/{int(pid)}"))

    def test_bad_requests(self) -> None:
        self.ask("first")
        time.sleep(0.1)  # until the connection is closed there
        count = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        for packet, files in (
            (b"x", []),
            (struct.pack("=II", 0, 1), [self.alive]),
            (struct.pack("=IIQQ", 0, 1, 5, 5), []),
            (struct.pack("=IIQQQQ", 0, 2, 1, 200, 0, 0), [self.alive, self.alive]),
            (struct.pack("=II", 0, 0), []),
        ):
            error, _ = self.request(packet, files)
            self.assertNotEqual(error, 0)
        time.sleep(0.1)
        self.assertEqual(len(os.listdir(f"/proc/{self.process.pid}/fd")), count)
        self.copy("second")
        self.assertEqual(self.ask("second")[0], "2")
