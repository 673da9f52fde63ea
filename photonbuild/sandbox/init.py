"""First process of a sandbox: namespaces, mounts, pivot_root, then one command. Standard library only.

`photonbuild.sandbox.process` starts it with the descriptors STATUS_FD and GO_FD as arguments. It reads a JSON plan from
GO_FD and writes JSON lines to STATUS_FD: {"map": pid}, {"error": text} or {"done": {...}}. When it dies, the kernel
kills everything inside and drops every mount, so there is nothing to clean up.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

from photonbuild.sandbox.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    bind,
    detach,
    die_with_parent,
    mount,
    pivot_root,
    unshare,
)


def make_dev(dev: str) -> None:
    """A minimal /dev: the host's harmless character devices by bind mount, a private devpts and shm."""
    os.makedirs(dev, exist_ok=True)
    mount("dev", dev, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=1m")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        bind(f"/dev/{name}", f"{dev}/{name}", readonly=False)
    for name, target in (
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ):
        os.symlink(target, f"{dev}/{name}")
    os.mkdir(f"{dev}/pts")
    mount("devpts", f"{dev}/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    os.mkdir(f"{dev}/shm")
    mount("shm", f"{dev}/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")


def make_root(plan: dict[str, Any]) -> str:
    """Overlay of the plan's layers; returns the path of the new root."""
    scratch = plan["scratch"]
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("scratch", scratch, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=0755,size={plan['tmpfs_size']}")
    os.chdir(scratch)  # short relative names: mount options are limited to one page
    upper = plan["upper"] or scratch
    for name in ("u", "w"):
        os.makedirs(f"{upper}/{name}", exist_ok=True)
    os.mkdir("r")
    names = []
    for number, layer in enumerate(plan["layers"]):
        os.symlink(layer, str(number))
        names.append(str(number))
    options = f"lowerdir={':'.join(names)},upperdir={upper}/u,workdir={upper}/w,userxattr"
    try:
        mount("overlay", "r", "overlay", 0, options)
    except OSError as exc:
        raise OSError(exc.errno, f"{exc.strerror} (layers: {len(names)}, upper: {upper})") from exc
    return f"{scratch}/r"


def populate(root: str, plan: dict[str, Any]) -> None:
    for name in ("proc", "dev", "tmp", "etc"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    make_dev(f"{root}/dev")
    mount("tmp", f"{root}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={plan['tmpfs_size']}")
    if plan["network"]:
        for name in ("/etc/resolv.conf", "/etc/hosts"):
            if os.path.exists(name):
                bind(os.path.realpath(name), root + name, readonly=True)
    for source, target, readonly in plan["binds"]:
        bind(source, root + target, readonly)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 1 | 64))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING


def enter(root: str, plan: dict[str, Any]) -> None:
    os.makedirs(f"{root}/.old", exist_ok=True)
    pivot_root(root, f"{root}/.old")
    os.chdir("/")
    detach("/.old")
    os.rmdir("/.old")
    socket.sethostname(plan["hostname"])
    if plan["readonly"]:
        mount("none", "/", None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    if not plan["network"]:
        loopback_up()


def execute(plan: dict[str, Any]) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)
    os.chdir(plan["cwd"])
    try:
        os.execvpe(plan["argv"][0], plan["argv"], plan["env"])
    except OSError as exc:
        os.write(2, f"cannot start {plan['argv'][0]}: {exc.strerror}\n".encode())
        os._exit(127)


def pid_one(plan: dict[str, Any], status: int) -> NoReturn:
    """Inside the new PID namespace: build the root, start the command, reap until it ends."""
    die_with_parent(signal.SIGKILL)
    try:
        root = make_root(plan)
        populate(root, plan)
        enter(root, plan)
        measure = os.open("/", os.O_PATH | os.O_DIRECTORY)
    except OSError as exc:
        os.write(status, json.dumps({"error": str(exc)}).encode() + b"\n")
        os._exit(125)
    os.write(status, b'{"ready": true}\n')
    child = os.fork()
    if child == 0:
        os.close(status)
        os.close(measure)
        execute(plan)
    while True:
        pid, code = os.wait()
        if pid == child:
            break
    room = os.statvfs("/")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = {
        "code": 128 + os.WTERMSIG(code) if os.WIFSIGNALED(code) else os.WEXITSTATUS(code),
        "cpu": round(usage.ru_utime + usage.ru_stime, 2),
        "rss": usage.ru_maxrss * 1024,
        "scratch": 0 if plan["upper"] else (room.f_blocks - room.f_bfree) * room.f_frsize,
    }
    os.write(status, json.dumps({"done": done}).encode() + b"\n")
    os._exit(0)


def main() -> None:
    status, go = int(sys.argv[1]), int(sys.argv[2])
    # The command may talk to the terminal; an interrupt is the parent's business, which then kills this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        unshare(CLONE_NEWUSER)
    except OSError as exc:
        os.write(status, json.dumps({"error": str(exc), "userns": True}).encode() + b"\n")
        sys.exit(125)
    os.write(status, json.dumps({"map": os.getpid()}).encode() + b"\n")
    with open(go, encoding="utf-8") as handle:
        plan = json.load(handle)
    try:
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        die_with_parent(signal.SIGKILL)
        flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS
        unshare(flags | (0 if plan["network"] else CLONE_NEWNET))
    except OSError as exc:
        os.write(status, json.dumps({"error": str(exc)}).encode() + b"\n")
        sys.exit(125)
    child = os.fork()
    if child == 0:
        pid_one(plan, status)
    os.close(status)
    _, code = os.waitpid(child, 0)
    os._exit(0 if os.WIFEXITED(code) else 125)
