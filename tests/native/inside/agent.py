"""The pico agent as the first process of namespaces of its own, which takes the rights to make them.

    AGENT=PROGRAM python3 -m unittest tests.native.inside.agent

Runs in the seed, with the standard library only.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, ClassVar

from tests.native.inside.wire import (
    ATTACH,
    CREDIT,
    DETACHED,
    ERROR,
    EXITED,
    GRANT,
    HELLO,
    PING,
    PONG,
    READY,
    REHEARSE,
    REHEARSED,
    RESIZE,
    SETTINGS,
    SETUP,
    SHUTDOWN,
    SIGNAL,
    STARTED,
    STDERR,
    STDIN,
    STDOUT,
    TIME,
    WELCOME,
    WINDOW,
    Frame,
    Machine,
    encode,
    fields,
    frames_in,
)

AGENT = os.environ["AGENT"]
TOOLS = ("sh", "cat", "sleep", "true", "id", "hostname", "stty", "tty", "head", "grep", "cut", "touch", "df", "tail")


class AgentTest(unittest.TestCase):
    """The root is made of what this system has: its programs, and an /etc of the test's own."""

    temporary: ClassVar[tempfile.TemporaryDirectory[str]]
    root: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.temporary = tempfile.TemporaryDirectory()
        cls.root = Path(cls.temporary.name) / "root"
        (cls.root / "etc").mkdir(parents=True)
        for name in ("tmp", "proc", "sys", "dev", "work"):
            (cls.root / name).mkdir()
        (cls.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nuser:x:1000:1001::/home/user:/bin/sh\nbad\n")
        (cls.root / "etc/group").write_text("root:x:0:\nstaff:x:1001:\nextra:x:1002:other,user\n")
        (cls.root / "plain").write_text("not a program\n")
        (cls.root / "broken").write_text("#!/no/such/interpreter\n")
        (cls.root / "broken").chmod(0o755)
        copy_tools(cls.root)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.temporary.cleanup()

    def machine(self, ports: int = 2) -> Machine:
        machine = Machine(AGENT, str(self.root), ports)
        self.addCleanup(machine.close)
        return machine

    def run_main(
        self, *words: str, stdin: bytes | None = None, **more: Any
    ) -> tuple[bytes, dict[str, str], list[Frame]]:
        """One whole life; what came out, how it ended, the log."""
        machine = self.machine()
        machine.setup()
        machine.start(*words, main="yes", stdin="no" if stdin is None else "yes", **more)
        if stdin is not None:
            machine.ports[0].sock.sendall(encode(STDIN, 1, stdin) + encode(STDIN, 1))
        out, _, ended = machine.ports[0].until(EXITED)
        return out, fields(ended), machine.wait()

    def test_a_rehearsal_leaves_nothing(self) -> None:
        program = self.root / "bin/rehearse"
        program.write_text("#!/bin/sh\ncat /etc/hostname\nread name < /etc/hostname\n[ $name = rehearsal ]\n")
        program.chmod(0o755)
        self.addCleanup(program.unlink)
        machine = self.machine()
        port = machine.ports[0]
        for root, answer in ((self.root, REHEARSED), ("/nothing", ERROR), (self.root, REHEARSED)):
            port.send(REHEARSE, root=root, rootfs="directory")
            kind, _, payload = port.next()
            self.assertEqual(kind, answer, payload)
        machine.setup()
        port.until(READY)
        machine.start("/bin/sh", "-c", "cat /etc/hostname /etc/machine-id", main="yes")
        out, _, ended = port.until(EXITED)
        self.assertEqual(out.decode().split()[:2], ["box", SETTINGS["machine-id"]])
        self.assertEqual(fields(ended), {"code": "0"})
        machine.wait()

    def test_no_rehearsal_after_setup(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.ports[0].until(READY)
        machine.ports[0].send(REHEARSE)
        kind, _, payload = machine.ports[0].next()
        self.assertEqual((kind, fields(payload)["code"]), (ERROR, "protocol"))

    def test_welcome_and_the_order_of_life(self) -> None:
        machine = self.machine()
        port = machine.ports[0]
        port.send(HELLO, nonce="abc", version="1")
        kind, _, payload = port.next()
        self.assertEqual(kind, WELCOME)
        self.assertTrue(payload.startswith(b"nonce=abc\0"))
        self.assertEqual(fields(payload)["state"], "waiting")
        self.assertEqual(fields(payload)["kernel"], os.uname().release)
        port.send(PING)
        self.assertEqual(port.next(), (PONG, 0, b""))
        machine.start("/bin/true")
        kind, process, payload = port.next()
        self.assertEqual((kind, process, fields(payload)["code"]), (ERROR, 1, "protocol"))
        machine.setup()
        port.until(READY)
        port.send(SETUP, **SETTINGS)
        self.assertEqual(fields(port.next()[2])["code"], "EALREADY")
        machine.ports[1].send(HELLO, nonce="")
        self.assertEqual(fields(machine.ports[1].next()[2])["state"], "ready")
        port.send(SHUTDOWN)
        self.assertEqual([frame[0] for frame in machine.wait()], [READY])

    def test_output_exit_code_and_log(self) -> None:
        out, ended, log = self.run_main("/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual(sorted(out.split()), [b"err", b"out"])
        self.assertEqual(ended, {"code": "7"})
        self.assertEqual([frame[0] for frame in log][:2], [READY, STARTED])
        self.assertEqual(set(log[2:-1]), {(STDOUT, 1, b"out\n"), (STDERR, 1, b"err\n")})
        self.assertEqual(log[-1], (EXITED, 1, b"code=7\0"))

    def test_what_a_process_finds(self) -> None:
        script = (
            'echo "$PWD $HOME $GREETING $HOSTNAME $PATH"; id -u; id -g; id -G; hostname; cat /etc/hostname '
            "/etc/machine-id; umask; ulimit -n; cat /etc/resolv.conf; grep box /etc/hosts; "
            "cat /proc/self/stat | cut -d' ' -f6; test -c /dev/null && test -d /dev/shm && echo devices"
        )
        out, ended, _ = self.run_main("sh", "-c", script, user="0", env=["GREETING=hello world"], cwd="/made/by/agent")
        lines = out.decode().splitlines()
        self.assertEqual(ended, {"code": "0"}, out)
        self.assertTrue(lines[0].startswith("/made/by/agent /root hello world box /usr/local/sbin:"), lines[0])
        self.assertEqual(lines[1:3], ["0", "0"])
        self.assertEqual(lines[4:8], ["box", "box", "0123456789abcdef" * 2, "0022"])
        self.assertIn("127.0.1.1\tbox", lines)
        self.assertIn("devices", lines)
        self.assertFalse((self.root / "made").exists(), "the image is written to")

    def test_stdin_is_binary_and_ends(self) -> None:
        data = os.urandom(60000)
        out, ended, _ = self.run_main("cat", stdin=data)
        self.assertEqual((out, ended), (data, {"code": "0"}))

    def test_no_stdin(self) -> None:
        self.assertEqual(self.run_main("cat")[:2], (b"", {"code": "0"}))

    def test_megabytes_both_ways_within_the_windows(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start("cat", main="yes", stdin="yes")
        port, data = machine.ports[0], os.urandom(3 << 20)
        credit, sent, got = WINDOW, 0, b""
        while True:
            while credit and sent < len(data):
                part = data[sent : sent + min(credit, 50000)]
                port.sock.sendall(encode(STDIN, 1, part))
                sent, credit = sent + len(part), credit - len(part)
                if sent == len(data):
                    port.sock.sendall(encode(STDIN, 1))
            kind, _, payload = port.next()
            if kind == STDOUT:
                got += payload
            elif kind == CREDIT:
                credit += int(fields(payload)["bytes"])
                self.assertLessEqual(credit, WINDOW)
            elif kind == EXITED:
                break
        self.assertEqual(got, data)
        self.assertEqual(b"".join(frame[2] for frame in machine.wait() if frame[0] == STDOUT), data)

    def test_a_reader_that_gives_no_credit_stops_the_process(self) -> None:
        machine = self.machine()
        machine.setup()
        port = machine.ports[0]
        port.stingy = True
        machine.start("sh", "-c", "head -c 1000000 /dev/zero", main="yes")
        port.until(STARTED)
        got = b""
        while len(got) < WINDOW:
            got += port.next()[2]
        self.assertEqual(len(got), WINDOW)
        self.assertTrue(port.silent())
        while len(got) < 1000000:
            port.send(GRANT, 1, bytes=100000)
            more = 0
            while more < 100000 and len(got) < 1000000:
                payload = port.next()[2]
                got, more = got + payload, more + len(payload)
        self.assertEqual(fields(port.until(EXITED)[2]), {"code": "0"})
        machine.wait()

    def test_more_stdin_than_the_window_is_refused(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start("sleep", "100", main="yes", stdin="yes")
        port = machine.ports[0]
        port.until(STARTED)
        for _ in range(6):
            port.sock.sendall(encode(STDIN, 1, bytes(60000)))
        kind, process, payload = port.next()
        while kind == CREDIT:
            kind, process, payload = port.next()
        self.assertEqual((kind, process, fields(payload)["what"]), (ERROR, 1, "stdin"))

    def test_terminal(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start(
            "sh",
            "-c",
            "stty size; tty; test -c /dev/console && echo console; read line; echo got $line; stty size; cat",
            main="yes",
            tty="yes",
            stdin="yes",
            rows="40",
            columns="120",
        )
        port = machine.ports[0]
        out = b""
        while b"console" not in out:
            out += port.next()[2]
        self.assertIn(b"40 120\r\n/dev/pts/0\r\n", out)
        port.send(RESIZE, 1, rows="50", columns="132")
        port.sock.sendall(encode(STDIN, 1, b"word\n"))
        while b"132" not in out:
            out += port.next()[2]
        self.assertIn(b"got word\r\n50 132\r\n", out)
        port.sock.sendall(encode(STDIN, 1, b"again\n"))
        while out.count(b"again\r\n") < 2:
            out += port.next()[2]
        port.sock.sendall(encode(STDIN, 1, b"\x03"))
        self.assertEqual(fields(port.until(EXITED)[2]), {"signal": "2"})
        machine.wait()

    def test_the_end_of_stdin_on_a_terminal_is_typed(self) -> None:
        out, ended, _ = self.run_main("cat", stdin=b"line\n", tty="yes")
        self.assertEqual((out, ended), (b"line\r\nline\r\n", {"code": "0"}))

    def test_a_terminal_that_is_closed_for_a_while(self) -> None:
        script = "exec </dev/null >/dev/null 2>&1; sleep 0.5; echo again >/dev/tty; sleep 0.1; exit 6"
        out, ended, _ = self.run_main("sh", "-c", script, tty="yes")
        self.assertEqual((out, ended), (b"again\r\n", {"code": "6"}))

    def test_signals(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start(
            "sh", "-c", "trap 'echo usr1' USR1; trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done", main="yes"
        )
        port = machine.ports[0]
        out = b""
        while b"up" not in out:
            out += port.next()[2]
        port.send(SIGNAL, 1, number=int(signal.SIGUSR1))
        while b"usr1" not in out:
            out += port.next()[2]
        port.send(SIGNAL, 1, number=int(signal.SIGTERM))
        self.assertEqual(fields(port.until(EXITED)[2]), {"code": "9"})
        machine.wait()

    def test_kill_of_main_ends_everything(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start("sleep", "1000", main="yes")
        machine.ports[0].until(STARTED)
        machine.start("sh", "-c", "trap '' TERM; sleep 1000 & wait", number=2, port=1)
        machine.ports[1].until(STARTED)
        machine.ports[0].send(SIGNAL, 1, number=9)
        self.assertEqual(fields(machine.ports[0].until(EXITED)[2]), {"signal": "9"})
        self.assertEqual(fields(machine.ports[1].until(EXITED)[2]), {"signal": "9"})
        self.assertEqual(machine.wait()[-1], (EXITED, 1, b"signal=9\0"))

    def test_shutdown_with_patience_and_without(self) -> None:
        for seconds, script, expected in (
            ("10", "trap 'exit 3' INT; echo up; while :; do sleep 0.1; done", {"code": "3"}),
            ("0.300", "trap '' INT; echo up; while :; do sleep 0.1; done", {"signal": "9"}),
            ("0", "echo up; sleep 100", None),
        ):
            with self.subTest(script):
                machine = self.machine()
                machine.setup()
                machine.start("sh", "-c", script, main="yes")
                out = b""
                while b"up" not in out:
                    out += machine.ports[0].next()[2]
                machine.ports[1].send(SHUTDOWN, signal=2, seconds=seconds)
                ended = fields(machine.ports[0].until(EXITED)[2])
                if expected is not None:
                    self.assertEqual(ended, expected)
                self.assertEqual(fields(machine.wait()[-1][2]), ended)

    def test_two_processes_at_once_on_two_ports(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start("cat", main="yes", stdin="yes")
        machine.ports[0].until(STARTED)
        machine.start("sh", "-c", "cat; exit 4", number=700, port=1, stdin="yes", user="user", group=["staff"])
        for port, number, text in ((1, 700, b"second"), (0, 1, b"first")):
            machine.ports[port].sock.sendall(encode(STDIN, number, text))
            out = b""
            while out != text:
                kind, process, payload = machine.ports[port].next()
                if kind == STDOUT:
                    self.assertEqual(process, number)
                    out += payload
        machine.ports[1].sock.sendall(encode(STDIN, 700))
        _, process, ended = machine.ports[1].until(EXITED)
        self.assertEqual((process, fields(ended)), (700, {"code": "4"}))
        machine.ports[0].sock.sendall(encode(STDIN, 1))
        machine.ports[0].until(EXITED)
        self.assertEqual([frame[1] for frame in machine.wait() if frame[0] == STDOUT], [1])

    def test_attach_takes_over(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start("cat", main="yes", stdin="yes")
        machine.ports[0].until(STARTED)
        machine.ports[1].send(ATTACH, 1)
        self.assertEqual(machine.ports[1].next()[0], STARTED)
        self.assertEqual(fields(machine.ports[1].until(CREDIT)[2]), {"bytes": str(WINDOW)})
        machine.ports[0].until(DETACHED)
        machine.ports[0].sock.sendall(encode(STDIN, 1, b"not mine any more"))
        machine.ports[1].sock.sendall(encode(STDIN, 1, b"mine") + encode(STDIN, 1))
        out, _, _ = machine.ports[1].until(EXITED)
        self.assertEqual(out, b"mine")
        self.assertTrue(machine.ports[0].sock.recv(1) == b"")
        machine.wait()

    def test_another_hello_is_another_conversation(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start("sh", "-c", "head -c 600000 /dev/zero; exit 5", main="yes")
        port = machine.ports[0]
        port.stingy = True
        got = b""
        while len(got) < WINDOW:
            kind, _, payload = port.next()
            got += payload if kind == STDOUT else b""
        port.send(HELLO, nonce="again", version="1")
        port.until(WELCOME)
        self.assertEqual(sum(len(frame[2]) for frame in machine.wait() if frame[0] == STDOUT), 600000)

    def test_main_goes_on_when_the_host_hangs_up(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start("sh", "-c", "sleep 0.5; head -c 600000 /dev/zero; exit 5", main="yes")
        machine.ports[0].until(STARTED)
        machine.ports[0].sock.close()
        log = machine.wait()
        self.assertEqual(sum(len(frame[2]) for frame in log if frame[0] == STDOUT), 600000)
        self.assertEqual(log[-1], (EXITED, 1, b"code=5\0"))

    def test_what_cannot_be_started_ends_the_machine_and_is_in_the_log(self) -> None:
        cases: list[tuple[list[str], dict[str, Any], str, str]] = [
            (["/no/such/program"], {}, "ENOENT", "cannot start /no/such/program"),
            (["nothing-of-this-name"], {}, "ENOENT", "cannot start nothing-of-this-name"),
            (["/plain"], {}, "EACCES", "cannot start /plain"),
            (["/broken"], {}, "ENOENT", "cannot start /broken"),
            (["/etc"], {}, "EACCES", "cannot start /etc"),
            ([], {}, "EINVAL", "no program to start"),
            (["true"], {"user": "nobody-here"}, "ENOENT", "unknown user nobody-here"),
            (["true"], {"user": "root:no-group"}, "ENOENT", "unknown group no-group"),
            (["true"], {"cwd": "relative"}, "EINVAL", "working directory relative"),
            (["true"], {"cwd": "/plain"}, "ENOTDIR", "working directory /plain"),
            (["true"], {"tty": "maybe"}, "protocol", "tty=maybe"),
        ]
        for words, more, code, message in cases:
            with self.subTest(words=words, **more):
                machine = self.machine()
                machine.setup()
                machine.start(*words, main="yes", **more)
                while (frame := machine.ports[0].next())[0] != ERROR:
                    pass
                error = fields(frame[2])
                if (words, more.get("tty")) == (["true"], "maybe"):
                    machine.ports[0].send(SHUTDOWN)
                    machine.wait()
                else:
                    self.assertEqual(machine.wait()[-1], frame)
                self.assertEqual(error["code"], code)
                self.assertIn(message, error["message"])

    def test_a_second_process_that_cannot_be_started_ends_nothing(self) -> None:
        machine = self.machine()
        machine.setup()
        machine.start("cat", main="yes", stdin="yes")
        machine.ports[0].until(STARTED)
        refused: list[dict[str, Any]] = [{"number": 2}, {"number": 1}, {"number": 0}, {"number": 3, "main": "yes"}]
        for more in refused:
            machine.start("/no/such/program", port=1, **more)
            kind, process, _ = machine.ports[1].next()
            self.assertEqual((kind, process), (ERROR, more["number"]))
        machine.ports[0].sock.sendall(encode(STDIN, 1))
        machine.ports[0].until(EXITED)
        machine.wait()

    def test_setup_that_cannot_be_done_ends_the_machine_and_is_in_the_log(self) -> None:
        for more, message in (
            ({"entropy": "5a" * 31}, "32 bytes of entropy, got 31"),
            ({"entropy": "xy" * 32}, "entropy"),
            ({"clock": "-1"}, "clock"),
            ({"clock": "0"}, "needs clock"),
            ({"hostname": "a b"}, "hostname"),
            ({"machine-id": "short"}, "machine-id"),
            ({"mac": "00:11:22:33:44"}, "mac"),
            ({"network": "token ring"}, "token ring"),
            ({"network": "static", "address": "10.0.0.1"}, "static network needs"),
            ({"network": "dhcp"}, "eth0"),
            ({"root": "/no/such/device", "rootfs": "erofs"}, "/no/such/device"),
            ({"volume": "tag:relative:rw"}, "absolute path"),
            ({"volume": "tag:/target"}, "not a volume"),
            ({"volume": "nosuchtag:/target:ro"}, "cannot mount nosuchtag"),
            ({"tmpfs": "relative"}, "absolute path"),
            ({"readonly": "perhaps"}, "readonly"),
        ):
            with self.subTest(**more):
                machine = self.machine()
                machine.setup(**more)
                machine.start("true", main="yes")
                self.assertEqual(machine.ports[0].next()[0], WELCOME)
                frame = machine.ports[0].next()
                self.assertEqual(frame[0], ERROR)
                self.assertEqual(fields(frame[2])["what"], "setup")
                self.assertIn(message, fields(frame[2])["message"])
                self.assertNotIn("5a5a", fields(frame[2])["message"])
                self.assertEqual(machine.wait()[-1], frame)

    def test_tmpfs_and_readonly_root(self) -> None:
        machine = self.machine()
        machine.setup(tmpfs="/scratch:size=1m,mode=0755", readonly="yes")
        machine.start("sh", "-c", "touch /scratch/a && ! touch /b && df -k /scratch | tail -1", main="yes")
        out, _, ended = machine.ports[0].until(EXITED)
        self.assertEqual(fields(ended), {"code": "0"})
        self.assertIn(b" 1024 ", out)
        machine.wait()

    def test_bad_frames(self) -> None:
        machine = self.machine(ports=4)
        for port, bad, what in (
            (0, encode(99), "unknown type"),
            (0, encode(HELLO, 0, b"no end"), "no list of records"),
            (0, encode(HELLO, 0, b"\0"), "no list of records"),
            (0, encode(SIGNAL, 1, b"number=x\0"), "cannot have number=x"),
            (0, encode(SHUTDOWN, 0, b"seconds=1.5\0"), "cannot have seconds=1.5"),
            (0, encode(ATTACH, 77), "process 77"),
            (1, struct.pack("<IBBH", 70000, STDIN, 0, 1), "not a frame"),
            (2, struct.pack("<IBBH", 0, PING, 1, 0), "not a frame"),
        ):
            machine.ports[port].sock.sendall(bad)
            kind, _, payload = machine.ports[port].next()
            self.assertEqual(kind, ERROR)
            self.assertIn(what, fields(payload)["message"])
        machine.ports[1].send(PING)
        self.assertTrue(machine.ports[1].silent(), "a broken stream is not read any further")
        torn = encode(PING)
        for at in range(len(torn)):
            machine.ports[0].sock.sendall(torn[at : at + 1])
        self.assertEqual(machine.ports[0].next()[0], PONG)
        machine.ports[0].send(SHUTDOWN)
        self.assertEqual(machine.wait(), [])

    def test_orphans_are_reaped(self) -> None:
        out, ended, _ = self.run_main(
            "sh",
            "-c",
            "for i in 1 2 3 4 5; do (sleep 0.01 &); done; sleep 0.5; grep -l 'State:.Z' /proc/[0-9]*/status; :",
        )
        self.assertEqual((out, ended), (b"", {"code": "0"}))

    def test_time_in_the_log(self) -> None:
        before = time.time_ns()
        machine = self.machine()
        machine.setup()
        machine.start("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.05; done", main="yes")
        machine.ports[0].until(EXITED)
        machine.wait()
        times = [int(fields(payload)["clock"]) for kind, _, payload in frames_in(machine.log)[0] if kind == TIME]
        self.assertGreaterEqual(len(times), 3)
        self.assertEqual(times, sorted(times))
        self.assertTrue(before <= times[0] <= times[-1] <= time.time_ns())
        self.assertTrue(all(later - earlier >= 99_000_000 for earlier, later in itertools.pairwise(times)))


def copy_tools(root: Path) -> None:
    """Programs of this system with the libraries they need."""
    wanted = [Path(shutil.which(tool) or tool) for tool in TOOLS]
    listed = subprocess.run(["ldd", *wanted], capture_output=True, text=True, check=True).stdout
    libraries = {word for line in listed.splitlines() for word in line.split() if word.startswith("/")}
    for path in wanted:
        (root / "bin").mkdir(exist_ok=True)
        shutil.copy(path, root / "bin")
    for library in sorted(word for word in libraries if not word.endswith(":")):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
