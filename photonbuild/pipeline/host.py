"""What of this machine, or of the container that this is, keeps a sandbox from being made, and the flag that lets it.

Facts come from /proc; which of them matters depends on what failed. Tried with the profile of seccomp and the masked
paths that container engines have: docs/use/ci.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CAP_SYS_ADMIN = 21
PAGE = "docs/use/ci.md has the flags of each engine"
# What makes a sandbox needs these. A value that is None is not to be had on this kernel.
SWITCHES = {
    "apparmor_restrict_unprivileged_userns": "kernel/apparmor_restrict_unprivileged_userns",
    "max_user_namespaces": "user/max_user_namespaces",
    "unprivileged_userns_clone": "kernel/unprivileged_userns_clone",
}


@dataclass(frozen=True, kw_only=True)
class Host:
    """`seccomp`: is there a filter on us; `profile`: AppArmor's, if it confines us; `masked`: paths of /proc over which
    something is mounted; `admin`: have we CAP_SYS_ADMIN, and may what is setuid have it (`admin_bound`); `setuid_map`:
    is newuidmap setuid, rather than with capabilities of its file. `switches`: see `SWITCHES`.
    """

    root: bool
    seccomp: bool = False
    profile: str | None = None
    masked: Sequence[str] = ()
    admin: bool = True
    admin_bound: bool = True
    setuid_map: bool = False
    switches: dict[str, int | None]


def read_host(proc: Path = Path("/proc"), newuidmap: Path = Path("/usr/bin/newuidmap")) -> Host:
    """The facts of this machine."""
    status = dict(line.split(":\t", 1) for line in _text(proc / "self/status").splitlines() if ":\t" in line)
    profile = _text(proc / "self/attr/apparmor/current") or _text(proc / "self/attr/current")
    mounts = [line.split(" ")[1] for line in _text(proc / "self/mounts").splitlines() if line.count(" ") > 1]
    return Host(
        root=os.geteuid() == 0,
        seccomp=status.get("Seccomp", "0").strip() not in ("", "0"),
        profile=profile.strip() if "(enforce)" in profile else None,
        masked=sorted({mount for mount in mounts if mount.startswith("/proc/")} - {"/proc/sys/fs/binfmt_misc"}),
        admin=_has(status.get("CapEff", "0")),
        admin_bound=_has(status.get("CapBnd", "0")),
        setuid_map=newuidmap.exists() and bool(newuidmap.stat().st_mode & 0o4000),
        switches={name: _number(_text(proc / "sys" / path)) for name, path in SWITCHES.items()},
    )


def sandbox_hints(host: Host, error: str) -> list[str]:
    """What to do about a sandbox that could not be made, the likeliest first. Pure."""
    found = []
    if host.switches["max_user_namespaces"] == 0:
        found.append("user namespaces are switched off: sysctl user.max_user_namespaces=65536")
    if host.switches["unprivileged_userns_clone"] == 0 and not host.root:
        found.append("user namespaces are for root alone here: sysctl kernel.unprivileged_userns_clone=1")
    if host.switches["apparmor_restrict_unprivileged_userns"] and not host.root:
        found.append(
            "AppArmor allows ordinary users no user namespaces (Ubuntu since 23.10): "
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if host.seccomp and any(call in error for call in ("unshare", "user namespace", "pivot_root", "mount")):
        found.append("a filter of seccomp is on this process, as container engines set one: seccomp=unconfined")
    if host.profile and "mount" in error:
        found.append(f"AppArmor confines this process ({host.profile}): apparmor=unconfined")
    if host.root and not host.admin:
        found.append("root has no CAP_SYS_ADMIN here: --cap-add SYS_ADMIN, or run this as an ordinary user")
    if host.masked and "mount proc" in error:
        found.append(
            f"parts of /proc are covered ({', '.join(host.masked[:3])}…), and so the kernel lets nobody mount another: "
            "systempaths=unconfined"
        )
    if "newuidmap" in error and not host.root and host.setuid_map and not host.admin_bound:
        found.append(
            "newuidmap is setuid and may not have CAP_SYS_ADMIN here: with capabilities of its file it needs none; "
            "chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap, setcap cap_setuid=ep /usr/bin/newuidmap, "
            "setcap cap_setgid=ep /usr/bin/newgidmap"
        )
    if host.seccomp or host.masked or not host.admin_bound:
        found.append(f"this looks like a container: {PAGE}")
    return found


def _has(capabilities: str) -> bool:
    return bool(int(capabilities.strip(), 16) >> CAP_SYS_ADMIN & 1)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None
