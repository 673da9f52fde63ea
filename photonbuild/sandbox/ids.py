"""The 65,536 ids of a sandbox's user namespace. user_namespaces(7), subuid(5), newuidmap(1).

Root maps the range to itself; an ordinary user maps id 0 to himself and 1…65535 to his sub-ids.
"""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

from photonbuild.errors import SandboxError

IDS = 65536
FREE = f"100000-{100000 + IDS - 1}"


def write_id_maps(pid: int) -> None:
    """Give the user namespace of `pid` its 65,536 ids. Raises SandboxError when the user has no sub-ids."""
    if os.geteuid() == 0:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text(f"0 0 {IDS}\n", encoding="ascii")
        return
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
