"""What starts a program as a container of a pod with `hostUsers: false` is started: `python -m tests.support.pod`.

Its words are the first id here of the pod's, the capabilities that are added to those of containerd, separated by
commas, and the program. The program is id 0 of 65,536 ids, has mounts, processes and a /proc of its own, which nothing
masks, and is not confined by seccomp or AppArmor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from photonbuild.sandbox.init import user_namespace
from photonbuild.sandbox.syscalls import enter_user_namespace

# https://github.com/containerd/containerd, defaultUnixCaps of pkg/oci
GIVEN = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip


def confined(added: Sequence[str], argv: Sequence[str]) -> list[str]:
    """The command line for root of a new user namespace. Pure."""
    capabilities = ",".join(["-all", *(f"+{name.lower()}" for name in (*GIVEN, *added))])
    spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*spaces, "setpriv", f"--bounding-set={capabilities}", "--inh-caps=-all", *argv]


def main(first: int, added: Sequence[str], argv: Sequence[str]) -> None:
    """Become the program."""
    users = user_namespace(first)
    os.setgroups([])
    enter_user_namespace(users)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    wanted = confined(added, argv)
    os.execvp(wanted[0], wanted)


if __name__ == "__main__":
    main(int(sys.argv[1]), [name for name in sys.argv[2].split(",") if name], sys.argv[3:])
