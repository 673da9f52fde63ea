"""The file systems of a sandbox: what comes from the host, then the overlay root with all that belongs in it.

Everything is at short relative names below the mount point of the sandbox, since mount options are limited to one page
and since the ids inside may not be able to reach the host's paths. Standard library only.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from photonbuild.sandbox.syscalls import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    attach,
    bind,
    make_mount_point,
    mount,
    open_tree,
    restrict,
)

IDS = 65536
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# Of /proc: what a sandbox may read but not write, and what is none of its business. See proc(5).
PROC_READONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
PROC_MASKED = ("acpi", "asound", "kcore", "key-users", "keys", "latency_stats", "sched_debug", "scsi", "timer_list")
RESOLVER = ("/etc/resolv.conf", "/etc/hosts")


def bring(source: str, target: str, attributes: int, users: int | None) -> None:
    """Mount `source` of the host at `target` with these attributes, its files with the ids of `users` if that works.

    Without (not every file system has id-mapped mounts) what only its owner may read is out of the sandbox's reach.
    """
    make_mount_point(target, directory=os.path.isdir(source))
    tree = open_tree(source)
    try:
        if users is not None:
            try:
                restrict(tree, attributes, users)
            except OSError:
                users = None
        if users is None:
            restrict(tree, attributes)
        attach(tree, target)
    finally:
        os.close(tree)


def is_to_be_mapped(source: str, first: int) -> bool:
    """Whether a file of the host is shown with other ids: one that has the sandbox's own would become nobody's."""
    return bool(first) and not first <= os.stat(source).st_uid < first + IDS


def gather(plan: dict[str, Any], users: int) -> None:
    """All that comes from the host, at short relative names below the mount point: N (layers), b/N (binds), d/NAME."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    first = plan["first"]
    os.chdir(plan["scratch"])
    mount("scratch", ".", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=0755,size=1m,uid={first},gid={first}")
    os.chdir(plan["scratch"])
    for name in ("b", "d", "r"):
        os.mkdir(name)
    for number, layer in enumerate(plan["layers"]):
        mapped = users if is_to_be_mapped(layer, first) else None
        bring(layer, str(number), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, mapped)
    if plan["upper"]:
        bring(plan["upper"], "u", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, None)
    for number, (source, _target, readonly) in enumerate(plan["binds"]):
        attributes = MOUNT_ATTR_NOSUID | (MOUNT_ATTR_RDONLY if readonly else 0)
        if not stat.S_ISCHR(os.stat(source).st_mode):
            attributes |= MOUNT_ATTR_NODEV
        bring(source, f"b/{number}", attributes, users if readonly and is_to_be_mapped(source, first) else None)
    for name in DEVICES:
        bring(f"/dev/{name}", f"d/{name}", MOUNT_ATTR_NOSUID, None)
    if plan["network"]:
        for source in filter(os.path.exists, RESOLVER):
            bring(
                os.path.realpath(source), f"d/{os.path.basename(source)}", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, None
            )


def make_dev(dev: str) -> None:
    """A minimal /dev: the host's harmless character devices, a private devpts and shm."""
    os.makedirs(dev, exist_ok=True)
    mount("dev", dev, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=1m")
    for name in DEVICES:
        make_mount_point(f"{dev}/{name}", directory=False)
        mount(f"d/{name}", f"{dev}/{name}", None, MS_BIND)
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


def make_proc(proc: str) -> None:
    """A /proc of this PID namespace without what concerns the whole machine."""
    os.makedirs(proc, exist_ok=True)
    mount("proc", proc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for name in PROC_READONLY:
        if os.path.exists(f"{proc}/{name}"):
            bind(f"{proc}/{name}", f"{proc}/{name}", readonly=True)
    for name in PROC_MASKED:
        if os.path.isdir(f"{proc}/{name}"):
            mount("masked", f"{proc}/{name}", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=0")
        elif os.path.exists(f"{proc}/{name}"):
            mount("d/null", f"{proc}/{name}", None, MS_BIND)


def make_root(plan: dict[str, Any]) -> None:
    """The overlay of the plan's layers at r."""
    if not plan["upper"]:
        os.mkdir("u")
        mount("root", "u", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=0755,size={plan['tmpfs_size']}")
    for name in ("u/u", "u/w"):
        os.makedirs(name, exist_ok=True)
    lower = ":".join(str(number) for number in range(len(plan["layers"])))
    options = f"lowerdir={lower},upperdir=u/u,workdir=u/w,userxattr"
    try:
        mount("overlay", "r", "overlay", MS_NOSUID | MS_NODEV, options)
    except OSError as exc:
        raise OSError(exc.errno, f"{exc.strerror} (layers: {len(plan['layers'])}, upper: {plan['upper']})") from exc


def furnish(plan: dict[str, Any]) -> None:
    """After pivot_root(2), so that a link in a layer leads nowhere else: /proc, /dev, /tmp and what is bound."""
    make_proc("/proc")
    make_dev("/dev")
    os.makedirs("/tmp", exist_ok=True)
    mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={plan['tmpfs_size']}")
    if plan["network"]:
        for name in RESOLVER:
            place(f"d/{os.path.basename(name)}", name)
    for number, (_source, target, _readonly) in enumerate(plan["binds"]):
        place(f"b/{number}", target)
    if plan["target"]:
        make_target(plan["target"], plan["tmpfs_size"], bound=plan["target"] in [b[1] for b in plan["binds"]])


def place(name: str, target: str) -> None:
    if os.path.exists(name):
        make_mount_point(target, directory=os.path.isdir(name))
        mount(name, target, None, MS_BIND | MS_REC)


def make_target(target: str, size: str, *, bound: bool) -> None:
    """A root that the command fills, in memory unless a folder of the host is bound there.

    It is at `target` without, and at `target`.live with, a /proc and a /dev mounted in it.
    """
    if not bound:
        os.makedirs(target)
        mount("target", target, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=0755,size={size}")
    os.makedirs(f"{target}.live")
    mount(target, f"{target}.live", None, MS_BIND)
    for name, mode in (("proc", 0o555), ("dev", 0o755)):
        os.makedirs(f"{target}/{name}", exist_ok=True)
        os.chmod(f"{target}/{name}", mode)
        mount(f"/{name}", f"{target}.live/{name}", None, MS_BIND | MS_REC)
