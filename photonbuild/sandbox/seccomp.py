"""What no program in a sandbox may ask the kernel for: a seccomp(2) filter and a bounding set. Standard library only.

The list is that of what container engines refuse to a container without CAP_SYS_ADMIN, and what types into the caller's
terminal. A program that asks for it gets EPERM, or ENOSYS where its C library then has another way. Numbers: x86_64,
<asm/unistd_64.h>; the filter's format: <linux/filter.h>, <linux/seccomp.h>.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from photonbuild.sandbox.syscalls import CLONE_NEWUSER, check, libc

REFUSED = {
    "mount": 165, "umount2": 166, "pivot_root": 155, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "open_tree_attr": 467, "setns": 308,
    "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
    "kexec_load": 246, "kexec_file_load": 320, "init_module": 175, "finit_module": 313, "delete_module": 176,
    "reboot": 169, "swapon": 167, "swapoff": 168, "acct": 163, "quotactl": 179, "quotactl_fd": 443,
    "open_by_handle_at": 304, "syslog": 103, "settimeofday": 164, "clock_settime": 227, "iopl": 172, "ioperm": 173,
    "vhangup": 153, "fanotify_init": 300, "lookup_dcookie": 212, "nfsservctl": 180, "_sysctl": 156, "uselib": 134,
    "migrate_pages": 256, "move_pages": 279,
}  # fmt: skip
ABSENT = {"clone3": 435, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
CLONE, UNSHARE, IOCTL = 56, 272, 16
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP, see capabilities(7).
CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31})
LAST_CAPABILITY = 63

LOAD, EQUAL, GREATER_EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24  # offsets in struct seccomp_data
X86_64, X32 = 0xC000003E, 0x40000000
ALLOW, ERROR = 0x7FFF0000, 0x00050000
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 24, 22, 2


def program() -> bytes:
    """The filter: an array of struct sock_filter (code, jump if true, jump if false, operand)."""
    refuse, absent = ERROR | errno.EPERM, ERROR | errno.ENOSYS
    lines: list[tuple[int, int, int, int]] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, X86_64),
        (RETURN, 0, 0, refuse),
        (LOAD, 0, 0, NUMBER),
        (GREATER_EQUAL, 0, 1, X32),
        (RETURN, 0, 0, absent),
    ]
    for answer, numbers in ((refuse, REFUSED), (absent, ABSENT)):
        for number in sorted(numbers.values()):
            lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, answer)]
    for number in (CLONE, UNSHARE):
        lines += [
            (EQUAL, 0, 4, number),
            (LOAD, 0, 0, FIRST_ARGUMENT),
            (ANY_BIT, 0, 1, CLONE_NEWUSER),
            (RETURN, 0, 0, refuse),
            (RETURN, 0, 0, ALLOW),
        ]
    lines += [
        (EQUAL, 0, 4, IOCTL),
        (LOAD, 0, 0, SECOND_ARGUMENT),
        (EQUAL, 1, 0, TIOCSTI),
        (EQUAL, 0, 1, TIOCLINUX),
        (RETURN, 0, 0, refuse),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def confine() -> None:
    """For good, and for everything started from here: fewer capabilities, no new privileges, the filter."""
    for capability in set(range(LAST_CAPABILITY + 1)) - CAPABILITIES:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # numbers that this kernel does not know fail
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    filters = program()
    pointer = ctypes.create_string_buffer(filters)
    request = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters) // 8, ctypes.addressof(pointer)))
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, request, 0, 0), "seccomp")
