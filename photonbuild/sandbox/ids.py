"""The 65,536 ids of a sandbox's user namespace. user_namespaces(7), subuid(5), newuidmap(1).

For an ordinary user id 0 inside is he himself and 1…65535 are his sub-ids. For root all of them are ids that nothing
else on the machine has: what root is inside owns no file of the host's.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import stat
import subprocess
from pathlib import Path

from photonbuild.errors import SandboxError

IDS = 65536
FREE = f"100000-{100000 + IDS - 1}"
# Above what systemd's and shadow's tools give to anybody: https://systemd.io/UIDS-GIDS
RESERVED = 0x70000000


def first_id() -> int:
    """The id outside that is 0 inside, when root starts a sandbox; 0 where root has no such ids: in a container.

    An ordinary user's sandbox gets its ids by `write_id_maps`, and then 0 is 0 for what starts it.
    """
    return RESERVED if os.geteuid() == 0 and _mapped(RESERVED, IDS) else 0


def owner_of_files() -> str:
    """Which ids of this machine own the files that sandboxes leave, as a word: other ids, other files."""
    if os.geteuid() == 0:
        return str(first_id())
    return f"{os.geteuid()}-{sub_ids(Path('/etc/subuid'))}-{sub_ids(Path('/etc/subgid'))}"


def _mapped(first: int, count: int) -> bool:
    lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    ranges = [(int(inside), int(length)) for inside, _outside, length in map(str.split, lines)]
    return any(inside <= first and first + count <= inside + length for inside, length in ranges)


def give(path: Path, first: int) -> None:
    """Make root's files at and below `path` those of a sandbox whose ids begin at `first`. Links are not followed."""
    status = path.lstat()
    if not first or not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        return
    if status.st_uid == 0:
        os.chown(path, first, first, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return
    # By descriptors: a sandbox that has the folder already may put a link where a folder was.
    for _top, folders, names, place in os.fwalk(path, follow_symlinks=False):
        for name in (*folders, *names):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(name, dir_fd=place, follow_symlinks=False).st_uid == 0:
                    os.chown(name, first, first, dir_fd=place, follow_symlinks=False)


def write_id_maps(pid: int) -> None:
    """Give a user's namespace, that of `pid`, its 65,536 ids. Raises SandboxError when he has no sub-ids."""
    for tool, path, own in (("newuidmap", "/etc/subuid", os.getuid()), ("newgidmap", "/etc/subgid", os.getgid())):
        start = sub_ids(Path(path))
        argv = [tool, str(pid), "0", str(own), "1", "1", str(start), str(IDS - 1)]
        try:
            done = subprocess.run(argv, capture_output=True, check=False)
        except FileNotFoundError as exc:
            raise SandboxError(f"{tool} is missing", hint="install the package uidmap") from exc
        if done.returncode:
            raise SandboxError(f"{tool} failed: {done.stderr.decode().strip()}", where=path, hint="photonbuild doctor")


def sub_ids(path: Path) -> int:
    """First id of the calling user's range in subuid(5) or subgid(5); the range must hold 65,535 ids."""
    names = {getpass.getuser(), str(os.getuid())}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        user, _, rest = line.partition(":")
        start, _, count = rest.partition(":")
        if user in names and int(count or 0) >= IDS - 1:
            return int(start)
    raise SandboxError(
        f"user {getpass.getuser()} has no range of {IDS - 1} sub-ids",
        where=str(path),
        hint=f"usermod --add-subuids {FREE} --add-subgids {FREE} {getpass.getuser()}",
    )
