"""The jail of a machine's QEMU: namespaces, a read-only root, an unprivileged id. Light: no overlay, no helper.

The program has user, mount, PID, IPC and UTS namespaces of its own and, unless it needs the host's network, an empty
network namespace. It is id 0 of its user namespace, but without any capability, and outside an unprivileged id: a
reserved one when root starts it, else the caller. It outlives the caller: nothing supervises it. See namespaces(7),
mount_setattr(2).
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from photonbuild.errors import SandboxError
from photonbuild.sandbox import syscalls

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_SET_THP_DISABLE = 4, 24, 28, 38, 41
READONLY = syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY
NOROOT_LOCKED = 0b11
CAPABILITIES = 41
FILE_LIMIT = 4096
STDERR = 2
DEVICES = ("null", "urandom")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A host path at one in /run or /etc inside. With `own`, files of the caller are the jail's own there, and back."""

    source: Path
    target: str
    readonly: bool = True
    own: bool = False


@dataclass(frozen=True, kw_only=True)
class Jail:
    """A program's surroundings. `root` is a tree with /run, /dev and /proc; `uid` is its id outside if root starts it.

    It sees a /proc, with itself in it and read-only, with `proc` only. A `parent` has no PID namespace of its own, so
    that what it forks outlives it; and it is number 1 of its user namespace, since it could not give number 0 away.
    """

    root: Path
    mounts: Sequence[Mount]
    uid: int
    devices: Sequence[str] = DEVICES
    network: bool = False
    proc: bool = False
    parent: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """What a program gets of its starter: `output` takes what it prints; it joins the control groups `groups`.

    `descriptors` stay open in it under their numbers, which are none of the first three. Into the file `identity`,
    which the program itself does not get, goes its process id. It is killed when a file exceeds `most` bytes.
    """

    output: int
    identity: int | None = None
    descriptors: Sequence[int] = ()
    most: int | None = None
    groups: Sequence[Path] = ()


def start(jail: Jail, argv: Sequence[str], inherited: Inherited) -> int:
    """Start `argv` and return its process id as seen here, once it is executed. It is not our child, nor ends with us.

    Raises SandboxError.
    """
    assert min((*inherited.descriptors, inherited.output)) > STDERR, "the program's own streams take the place of these"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _first(jail, argv, inherited, write)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        said = stream.read().decode(errors="replace").splitlines()
    os.waitpid(child, 0)
    answers = [json.loads(line) for line in said]
    errors = [answer["error"] for answer in answers if "error" in answer] or ([] if answers else ["it died at once"])
    if errors:
        raise SandboxError(f"cannot start the machine: {errors[0]}", hint="photonbuild doctor")
    return int(answers[0]["pid"])


def _first(jail: Jail, argv: Sequence[str], inherited: Inherited, status: int) -> NoReturn:
    """In the child: enter the namespaces, fork the PID namespace's first process, write its id to `status`, end."""
    try:
        os.setsid()
        for control in inherited.groups:
            (control / "cgroup.procs").write_text("0", encoding="ascii")
        spaces = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
        spaces |= 0 if jail.parent else syscalls.CLONE_NEWPID
        spaces |= 0 if jail.network else syscalls.CLONE_NEWNET
        owner, group, space = os.geteuid(), os.getegid(), None
        if owner:
            own = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            _map_ids(own, owner, group, inside=int(jail.parent))
        elif any(mount.own for mount in jail.mounts):
            space = _user_space(owner, jail.uid)
        syscalls.unshare(spaces)
        child = os.fork()
        if child:
            if inherited.identity is not None:
                os.pwrite(inherited.identity, str(child).encode(), 0)
            os.write(status, json.dumps({"pid": child}).encode() + b"\n")
            os._exit(0)
        proc = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
        _enter(jail, space)
        if owner == 0:
            _become(jail.uid, proc, inside=int(jail.parent))
        _drop()
        _execute(jail, argv, inherited)
    except BaseException as exc:
        os.write(status, json.dumps({"error": str(exc)}).encode() + b"\n")
        os._exit(125)


def _map_ids(proc: int, uid: int, gid: int, *, inside: int) -> None:
    """Number `inside` of our new user namespace is `uid` outside; `proc` is our folder of /proc."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{inside} {uid} 1\n"), ("gid_map", f"{inside} {gid} 1\n")):
        handle = os.open(name, os.O_WRONLY, dir_fd=proc)
        os.write(handle, text.encode())
        os.close(handle)


def _enter(jail: Jail, space: int | None) -> None:
    """Make the root and go there: the tree itself, read-only, with a small tmpfs on each folder that is mounted in."""
    root = str(jail.root)
    own = dict.fromkeys(("run", "dev", *(mount.target.split("/")[1] for mount in jail.mounts)))
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.bind(root, root, readonly=True)
    os.chdir(root)
    flags = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    for name in own:
        syscalls.mount(name, f"{root}/{name}", "tmpfs", flags, "mode=0755,size=64k")
    for mount in jail.mounts:
        if mount.own and space is not None:
            _bind_mapped(mount, root, space)
        else:
            syscalls.bind(str(mount.source), root + mount.target, mount.readonly)
    for name in jail.devices:
        syscalls.bind(f"/dev/{name}", f"{root}/dev/{name}", readonly=False)
    for name in own:
        syscalls.mount("none", f"{root}/{name}", None, READONLY | flags)
    if jail.proc:
        syscalls.mount("proc", f"{root}/proc", "proc", syscalls.MS_RDONLY | syscalls.MS_NODEV | flags)
    syscalls.pivot_root(".", ".")
    syscalls.detach(".")
    os.chdir("/")
    socket.sethostname("machine")


def _bind_mapped(mount: Mount, root: str, space: int) -> None:
    """A bind mount whose files have their owners translated by the user namespace `space`."""
    target = root + mount.target
    syscalls.make_mount_point(target, directory=mount.source.is_dir())
    tree = syscalls.open_tree(str(mount.source))
    try:
        syscalls.restrict(tree, 0, space)
        syscalls.attach(tree, target)
    except OSError as exc:
        raise OSError(exc.errno, f"cannot give the machine its view of {mount.source}: {exc.strerror}") from exc
    finally:
        os.close(tree)
    if mount.readonly:
        syscalls.mount("none", target, None, READONLY | syscalls.MS_NOSUID)


def _user_space(owner: int, uid: int) -> int:
    """Descriptor of a user namespace in which `owner` is `uid` outside. Needs to be root."""
    read, write = os.pipe()
    holder = os.fork()
    if holder == 0:
        syscalls.die_with_parent(signal.SIGKILL)
        code = syscalls.libc.unshare(syscalls.CLONE_NEWUSER)
        os.write(write, b"x")
        if code == 0:
            signal.pause()
        os._exit(1)
    try:
        os.read(read, 1)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{holder}/{name}").write_text(f"{owner} {uid} 1\n", encoding="ascii")
        return os.open(f"/proc/{holder}/ns/user", os.O_RDONLY)
    finally:
        os.close(read)
        os.close(write)
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


def _become(uid: int, proc: int, *, inside: int) -> None:
    """From root to `uid`, which is then number `inside` of a user namespace of its own."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    syscalls.check(syscalls.libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "dumpable")
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    _map_ids(proc, uid, uid, inside=inside)
    os.close(proc)


def _drop() -> None:
    """No capability after execve either, and no way to new privileges."""
    for capability in range(CAPABILITIES):
        syscalls.libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    syscalls.check(syscalls.libc.prctl(PR_SET_SECUREBITS, NOROOT_LOCKED, 0, 0, 0), "securebits")
    syscalls.check(syscalls.libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _execute(jail: Jail, argv: Sequence[str], inherited: Inherited) -> NoReturn:
    null = os.open("/dev/null", os.O_RDWR)
    for number, source in enumerate((null, inherited.output, inherited.output)):
        os.dup2(source, number)
    for number in inherited.descriptors:
        os.set_inheritable(number, True)
    if inherited.most is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (inherited.most, inherited.most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILE_LIMIT, FILE_LIMIT))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP, signal.SIGQUIT, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)
    # A huge page for a little translated code would cost each machine several MiB.
    syscalls.check(syscalls.libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "huge pages")
    os.execve(argv[0], list(argv), dict(jail.env))
