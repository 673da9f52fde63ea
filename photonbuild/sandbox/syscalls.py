"""System calls that Python has no function for, by libc: mounts and namespaces. Standard library only.

Constants: <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>; the numbers of system calls are those of x86_64.
"""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP = 0x10000000, 0x20000000, 0x40000000, 0x02000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH, PR_SET_PDEATHSIG = 2, 1
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC, MOVE_MOUNT_F_EMPTY_PATH = 1, os.O_CLOEXEC, 4
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_IDMAP = 1, 2, 4, 0x00100000
SYS_PIVOT_ROOT, SYS_KEYCTL, SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_CLOSE_RANGE, SYS_MOUNT_SETATTR = (
    155, 250, 428, 429, 436, 442,
)  # fmt: skip

libc = ctypes.CDLL(None, use_errno=True)
_flags = ctypes.c_uint


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


def open_tree(path: str) -> int:
    """open_tree(2): a copy of the mounts at `path`, attached nowhere; the descriptor's owner closes it."""
    fd = int(libc.syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(path), _flags(OPEN_TREE_CLONE | AT_RECURSIVE)))
    check(fd, f"open_tree {path}")
    return fd


def restrict(tree: int, attributes: int, users: int | None = None) -> None:
    """mount_setattr(2): attributes for all of an unattached tree; `users`: a user namespace whose ids it gets."""
    wanted = attributes | (0 if users is None else MOUNT_ATTR_IDMAP)
    request = struct.pack("QQQQ", wanted, 0, 0, 0 if users is None else users)
    size = ctypes.c_size_t(len(request))
    check(
        libc.syscall(SYS_MOUNT_SETATTR, tree, b"", _flags(AT_EMPTY_PATH | AT_RECURSIVE), request, size),
        "mount_setattr",
    )


def attach(tree: int, target: str) -> None:
    """move_mount(2): give an unattached tree its place."""
    done = libc.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(target), _flags(MOVE_MOUNT_F_EMPTY_PATH))
    check(done, f"move_mount to {target}")


def bind(source: str, target: str, readonly: bool) -> None:
    """A bind mount with everything below it; `target` is made if need be, as what `source` is."""
    make_mount_point(target, directory=os.path.isdir(source))
    tree = open_tree(source)
    try:
        restrict(tree, MOUNT_ATTR_RDONLY if readonly else 0)
        attach(tree, target)
    finally:
        os.close(tree)


def make_mount_point(target: str, *, directory: bool) -> None:
    """An empty folder or file where there is none; a link in its place goes."""
    if directory:
        os.makedirs(target, exist_ok=True)
        return
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    if os.path.islink(target):
        os.unlink(target)
    if not os.path.exists(target):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def enter_user_namespace(space: int) -> None:
    """setns(2) into a user namespace."""
    check(libc.setns(space, CLONE_NEWUSER), "setns")


def new_session_keyring() -> None:
    """keyctl(2), KEYCTL_JOIN_SESSION_KEYRING: the caller's keys stay behind. Where there are no keyrings, none leak."""
    libc.syscall(SYS_KEYCTL, 1, None)


def close_from(lowest: int) -> None:
    """close_range(2): every descriptor from `lowest` on."""
    check(libc.syscall(SYS_CLOSE_RANGE, lowest, _flags(0xFFFFFFFF), 0), "close_range")


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2): `new` becomes the root, the present one is seen at `old`."""
    check(libc.syscall(SYS_PIVOT_ROOT, os.fsencode(new), os.fsencode(old)), "pivot_root")


def detach(path: str) -> None:
    """umount2(2) with MNT_DETACH."""
    check(libc.umount2(os.fsencode(path), MNT_DETACH), f"umount {path}")


def die_with_parent(signal: int) -> None:
    """prctl(2), PR_SET_PDEATHSIG."""
    check(libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")
