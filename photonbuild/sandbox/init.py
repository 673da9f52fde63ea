"""First process of a sandbox: namespaces, mounts, pivot_root, then one command. Standard library only.

`photonbuild.sandbox.process` starts it with the descriptors STATUS_FD and GO_FD as arguments. It reads a JSON plan, one
line, from GO_FD and writes JSON lines to STATUS_FD: {"map": pid}, {"error": text} or {"done": {...}}. When it dies, the
kernel kills everything inside and drops every mount, so there is nothing to clean up. SIGTERM ends what the command has
started, SIGKILL all.

What is bound from the host is mounted before the namespace of the command's ids is entered, and a mount that was made
in another user namespace can neither be taken away nor lose its attributes: mount_namespaces(7).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import signal
import socket
import stat
import struct
import sys
from typing import Any, NoReturn

from photonbuild.sandbox import seccomp
from photonbuild.sandbox.mounts import IDS, furnish, gather, make_root
from photonbuild.sandbox.syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_RDONLY,
    MS_REMOUNT,
    close_from,
    detach,
    die_with_parent,
    enter_user_namespace,
    mount,
    new_session_keyring,
    pivot_root,
    unshare,
)

# The same on every machine: a build must not depend on them.
LIMITS = (
    (resource.RLIMIT_CORE, 0, 0),
    (resource.RLIMIT_NOFILE, 1024, 1 << 16),
    (resource.RLIMIT_NPROC, 1 << 14, 1 << 14),  # counted for each user namespace
    (resource.RLIMIT_STACK, 8 << 20, 64 << 20),
)
OOM_SCORE = 500  # when the machine has no memory left, a build ends before anything of the user's


def user_namespace(first: int) -> int:
    """A descriptor of a new user namespace whose ids 0…65535 are `first`… here."""
    ready, made = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            unshare(CLONE_NEWUSER)
            die_with_parent(signal.SIGKILL)  # an orphan would keep the status pipe open for ever
            os.write(made, b"+")
            signal.pause()
        finally:
            os._exit(1)
    os.close(made)
    try:
        if os.read(ready, 1) != b"+":
            raise OSError(0, "a user namespace cannot be made")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{name}", "w", encoding="ascii") as handle:
                # Two lines: a range of a user's namespace consists of his own id and his sub-ids.
                handle.write(f"0 {first} 1\n1 {first + 1} {IDS - 1}\n")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 1 | 64))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING


def enter(plan: dict[str, Any]) -> None:
    os.makedirs("r/.old", exist_ok=True)
    pivot_root("r", "r/.old")
    furnish(plan)  # from the present directory, which is still in the old root
    os.chdir("/")
    detach("/.old")
    os.rmdir("/.old")
    socket.sethostname(plan["hostname"])
    if plan["readonly"]:
        mount("none", "/", None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
    if not plan["network"]:
        loopback_up()


def bytes_below(folder: int) -> int:
    """What the files below an open folder take on their disk. Some may go while this looks."""
    total = 0
    for _path, folders, names, place in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        for name in (*folders, *names):
            with contextlib.suppress(OSError):
                total += os.stat(name, dir_fd=place, follow_symlinks=False).st_blocks << 9
    return total


def end_others(child: int) -> None:
    """Kill everything inside but the command itself, which then may put something by and end."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (1, child):
            with contextlib.suppress(OSError):
                os.kill(int(name), signal.SIGKILL)


def execute(plan: dict[str, Any]) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)
    os.chdir(plan["cwd"])
    for limit, soft, hard in LIMITS:
        most = resource.getrlimit(limit)[1]
        hard = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(limit, (min(soft, hard), hard))
    try:
        seccomp.confine()
        close_from(3)
        os.execvpe(plan["argv"][0], plan["argv"], plan["env"])
    except OSError as exc:
        os.write(2, f"cannot start {plan['argv'][0]}: {exc.strerror}\n".encode())
        os._exit(127)


def pid_one(plan: dict[str, Any], status: int) -> NoReturn:
    """Inside the new PID namespace: build the root, start the command, reap until it ends."""
    die_with_parent(signal.SIGKILL)
    try:
        make_root(plan)
        written = os.open("u/u", os.O_RDONLY | os.O_DIRECTORY)
        enter(plan)
    except OSError as exc:
        os.write(status, json.dumps({"error": str(exc)}).encode() + b"\n")
        os._exit(125)
    os.write(status, b'{"ready": true}\n')
    child = os.fork()
    if child == 0:
        execute(plan)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: end_others(child))
    while True:
        pid, code = os.wait()
        if pid == child:
            break
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = {
        "code": 128 + os.WTERMSIG(code) if os.WIFSIGNALED(code) else os.WEXITSTATUS(code),
        "cpu": round(usage.ru_utime + usage.ru_stime, 2),
        "rss": usage.ru_maxrss * 1024,
        "scratch": bytes_below(written),
    }
    os.write(status, json.dumps({"done": done}).encode() + b"\n")
    os._exit(0)


def main() -> None:
    status, go = int(sys.argv[1]), int(sys.argv[2])
    # The command may talk to the terminal; an interrupt is the parent's business, which then kills this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o022)
    with open(go, encoding="utf-8") as handle:
        plan = json.loads(handle.readline())
        if os.geteuid() != 0:
            try:
                unshare(CLONE_NEWUSER)
            except OSError as exc:
                os.write(status, json.dumps({"error": str(exc), "userns": True}).encode() + b"\n")
                sys.exit(125)
            os.write(status, json.dumps({"map": os.getpid()}).encode() + b"\n")
            handle.readline()  # our ids are mapped now
    try:
        become_owner(plan)
        die_with_parent(signal.SIGKILL)
        flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
        unshare(flags | (0 if plan["network"] else CLONE_NEWNET))
    except OSError as exc:
        os.write(status, json.dumps({"error": str(exc)}).encode() + b"\n")
        sys.exit(125)
    child = os.fork()
    if child == 0:
        pid_one(plan, status)
    os.close(status)
    signal.signal(signal.SIGTERM, lambda _number, _frame: os.kill(child, signal.SIGUSR1))
    _, code = os.waitpid(child, 0)
    os._exit(0 if os.WIFEXITED(code) else 125)


def become_owner(plan: dict[str, Any]) -> None:
    """Mount what the host gives, then become id 0 of the command's user namespace, with no groups but of devices."""
    new_session_keyring()
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as handle:
        handle.write(str(OOM_SCORE))
    users = user_namespace(plan["first"])
    unshare(CLONE_NEWNS)
    gather(plan, users)
    found = [os.stat(source) for source, _target, _readonly in plan["binds"]]
    groups = sorted({status.st_gid for status in found if stat.S_ISCHR(status.st_mode)})
    if plan["first"] or not groups:  # a user cannot choose among his groups: he keeps them all for a device
        os.setgroups(groups)
    enter_user_namespace(users)
    os.close(users)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
