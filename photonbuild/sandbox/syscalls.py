"""System calls that Python has no function for, by libc: mounts and namespaces. Standard library only.

Constants: <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>; the numbers of system calls are those of x86_64.
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_REC, MS_PRIVATE, MS_RELATIME = 1024, 2048, 4096, 16384, 1 << 18, 1 << 21
MNT_DETACH, PR_SET_PDEATHSIG, SYS_PIVOT_ROOT = 2, 1, 155

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raises OSError with the C library's errno and `what` when a call has returned -1."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """unshare(2)."""
    check(libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    """mount(2); `kind` None for a bind mount and for a change of flags."""

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


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2): `new` becomes the root, the present one is seen at `old`."""
    check(libc.syscall(SYS_PIVOT_ROOT, os.fsencode(new), os.fsencode(old)), "pivot_root")


def detach(path: str) -> None:
    """umount2(2) with MNT_DETACH."""
    check(libc.umount2(os.fsencode(path), MNT_DETACH), f"umount {path}")


def die_with_parent(signal: int) -> None:
    """prctl(2), PR_SET_PDEATHSIG."""
    check(libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")
