"""First process of a sandbox: namespaces, mounts, pivot_root, then one command. Standard library only.

Started by `photonbuild.sandbox` as `python3 -I -S init.py STATUS_FD GO_FD`; reads a JSON plan from GO_FD and writes
JSON lines to STATUS_FD: {"map": pid}, {"error": text} or {"done": {...}}. When it dies, the kernel kills everything
inside and drops every mount, so there is nothing to clean up.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_REC, MS_PRIVATE, MS_RELATIME = 1024, 2048, 4096, 16384, 1 << 18, 1 << 21
MNT_DETACH, PR_SET_PDEATHSIG, SYS_PIVOT_ROOT = 2, 1, 155

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    check(
        libc.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(options)),
        f"mount {kind or 'bind'} {source} on {target}",
    )


def bind(source: str, target: str, readonly: bool) -> None:
    """Bind a file or directory; a read-only remount must repeat the flags that the user namespace has locked."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(target):
            os.unlink(target)
        if not os.path.exists(target):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, None, MS_BIND | MS_REC)
    if readonly:
        held = os.statvfs(target).f_flag
        keep = 0
        for bit, flag in (
            (os.ST_NOSUID, MS_NOSUID),
            (os.ST_NODEV, MS_NODEV),
            (os.ST_NOEXEC, MS_NOEXEC),
            (os.ST_NOATIME, MS_NOATIME),
            (os.ST_NODIRATIME, MS_NODIRATIME),
            (os.ST_RELATIME, MS_RELATIME),
        ):
            keep |= flag if held & bit else 0
        mount("none", target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | keep)


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
    check(libc.syscall(SYS_PIVOT_ROOT, os.fsencode(root), os.fsencode(f"{root}/.old")), "pivot_root")
    os.chdir("/")
    check(libc.umount2(b"/.old", MNT_DETACH), "umount of the old root")
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
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
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
        check(libc.unshare(CLONE_NEWUSER), "unshare of a user namespace")
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
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS
        check(libc.unshare(flags | (0 if plan["network"] else CLONE_NEWNET)), "unshare")
    except OSError as exc:
        os.write(status, json.dumps({"error": str(exc)}).encode() + b"\n")
        sys.exit(125)
    child = os.fork()
    if child == 0:
        pid_one(plan, status)
    os.close(status)
    _, code = os.waitpid(child, 0)
    os._exit(0 if os.WIFEXITED(code) else 125)


if __name__ == "__main__":
    main()
