"""What hostile code tries from inside a sandbox. One attempt for each function; what it got is printed as JSON.

    probe.py NAME [ARGUMENT...]    {"refused": bool, "seen": …}

Runs in the build seed: standard library only. System calls are made by number, as such code would.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
REFUSALS: tuple[int, ...] = (
    errno.EPERM,
    errno.EACCES,
    errno.EROFS,
    errno.ENOSYS,
    errno.ENOENT,
    errno.EXDEV,
    errno.ECONNREFUSED,
)
REFUSALS += (errno.ENETUNREACH, errno.EINVAL, errno.ENOTSUP)


def call(number: int, *arguments: Any) -> int:
    """A system call; -errno when it fails."""
    result = int(libc.syscall(number, *arguments))
    return -ctypes.get_errno() if result < 0 else result


def calls(**wanted: tuple[Any, ...]) -> dict[str, Any]:
    """All of these calls: refused when every one is; what each answered."""
    seen = {name: call(*arguments) for name, arguments in wanted.items()}
    return {"refused": all(-answer in REFUSALS for answer in seen.values()), "seen": seen}


def opens(paths: list[str], flags: int) -> dict[str, Any]:
    seen = {}
    for path in paths:
        try:
            os.close(os.open(path, flags))
            seen[path] = 0
        except OSError as exc:
            seen[path] = -(exc.errno or 0)
    return {"refused": all(seen.values()), "seen": seen}


def kernel_settings() -> dict[str, Any]:
    names = ["sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/vm/drop_caches", "sys/fs/binfmt_misc/register"]
    names += ["sysrq-trigger", "sys/kernel/hostname", "sys/net/ipv4/ip_forward"]
    return opens([f"/proc/{name}" for name in names], os.O_WRONLY)


def kernel_memory() -> dict[str, Any]:
    seen = {}
    for path in ("/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/kmsg", "/proc/keys", "/proc/timer_list"):
        try:
            with open(path, "rb") as handle:
                seen[path] = len(handle.read(16))
        except OSError:
            seen[path] = 0
    return {"refused": not any(seen.values()), "seen": seen}


def device_nodes(*folders: str) -> dict[str, Any]:
    seen = {}
    for folder in folders:
        for name, kind, device in (("mem", stat.S_IFCHR, (1, 1)), ("disk", stat.S_IFBLK, (254, 0))):
            try:
                os.mknod(f"{folder}/{name}", kind | 0o666, os.makedev(*device))
                seen[f"{folder}/{name}"] = 0
            except OSError as exc:
                seen[f"{folder}/{name}"] = -(exc.errno or 0)
    return {"refused": all(seen.values()), "seen": seen}


def host_devices() -> dict[str, Any]:
    """Change the mode of a device of the host, which /dev/null is."""
    try:
        os.chmod("/dev/null", 0o600)
        return {"refused": False, "seen": "chmod"}
    except OSError as exc:
        return {"refused": True, "seen": exc.errno}


def setuid(*folders: str) -> dict[str, Any]:
    """Leave programs that run as root for who starts them. Allowed: the host looks at what came out of it."""
    for folder in folders:
        target = Path(folder, "su")
        target.write_bytes(Path("/usr/bin/true").read_bytes())
        target.chmod(0o6755)
        capable = Path(folder, "capable")
        capable.write_bytes(Path("/usr/bin/true").read_bytes())
        capable.chmod(0o755)
        os.setxattr(capable, "security.capability", struct.pack("<5I", 0x02000001, 1 << 21, 0, 0, 0))
    return {"refused": True, "seen": list(folders)}


def mounts() -> dict[str, Any]:
    text = ctypes.c_char_p
    return calls(
        mount=(165, text(b"x"), text(b"/mnt"), text(b"tmpfs"), 0, None),
        remount=(165, text(b"none"), text(b"/code"), None, 4096 | 32, None),
        over=(165, text(b"/tmp"), text(b"/usr/bin"), None, 4096, None),
        umount2=(166, text(b"/code"), 2),
        pivot_root=(155, text(b"/tmp"), text(b"/tmp")),
        open_tree=(428, -100, text(b"/"), 1),
        fsopen=(430, text(b"tmpfs"), 0),
        mount_setattr=(442, -100, text(b"/code"), 0, text(b"\0" * 32), ctypes.c_size_t(32)),
        cgroup=(165, text(b"cgroup"), text(b"/mnt"), text(b"cgroup"), 0, text(b"memory")),
    )


def read_only_binds() -> dict[str, Any]:
    """Change what the host shows for reading: the file, its mode, a second name for it."""
    seen: dict[str, int] = {}
    attempts: dict[str, Callable[[], object]] = {
        "write": lambda: Path("/code/secret").write_text("x"),
        "chmod": lambda: os.chmod("/code/secret", 0o777),
        "unlink": lambda: os.unlink("/code/secret"),
        "link": lambda: os.link("/code/secret", "/out/secret"),
        "xattr": lambda: os.setxattr("/code/secret", "user.x", b"x"),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
            seen[name] = 0
        except OSError as exc:
            seen[name] = -(exc.errno or 0)
    return {"refused": all(seen.values()), "seen": seen}


def namespaces() -> dict[str, Any]:
    return calls(
        user=(272, ctypes.c_ulong(0x10000000)),
        mount=(272, ctypes.c_ulong(0x00020000)),
        net=(272, ctypes.c_ulong(0x40000000)),
        clone=(56, ctypes.c_ulong(0x10000011), None, None, None, None),
        clone3=(435, ctypes.create_string_buffer(88), ctypes.c_size_t(88)),
        setns=(308, os.open("/proc/1/ns/mnt", os.O_RDONLY) if os.access("/proc/1/ns/mnt", os.R_OK) else -1, 0),
    )


def first_process() -> dict[str, Any]:
    """The process that made the sandbox, which has rights over it."""
    seen = calls(attach=(101, 16, 1, None, None), read=(310, 1, None, 0, None, 0, 0), seize=(101, 0x4206, 1, 0, 0))
    files = opens([f"/proc/1/{name}" for name in ("mem", "environ", "root/etc", "fd/0", "maps")], os.O_RDONLY)
    return {"refused": seen["refused"] and files["refused"], "seen": {**seen["seen"], **files["seen"]}}


def keyrings() -> dict[str, Any]:
    text = ctypes.c_char_p
    return calls(
        join=(250, 1, None),
        session=(250, 11, -3, None, 0),
        add=(248, text(b"user"), text(b"x"), text(b"y"), ctypes.c_size_t(1), -3),
        request=(249, text(b"user"), text(b"photonbuild-test"), None, 0),
    )


def environment(secret: str) -> dict[str, Any]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            try:
                text = (folder / "environ").read_bytes()
            except OSError:
                continue
            found += [folder.name] if secret.encode() in text else []
    found += [name for name, value in os.environ.items() if secret in value]
    return {"refused": not found, "seen": found}


def descriptors() -> dict[str, Any]:
    found = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    return {"refused": found[:-1] == [0, 1, 2], "seen": found}


def connect(kind: str, address: str) -> dict[str, Any]:
    unix = kind == "abstract"
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(3)
        try:
            client.connect(f"\0{address}" if unix else ("127.0.0.1", int(address)))
            return {"refused": False, "seen": "connected"}
        except OSError as exc:
            return {"refused": True, "seen": str(exc)}


def network() -> dict[str, Any]:
    seen: dict[str, Any] = {"interfaces": sorted(name for _, name in socket.if_nameindex())}
    for name, family, kind in (("packet", socket.AF_PACKET, socket.SOCK_RAW), ("raw", socket.AF_INET, socket.SOCK_RAW)):
        try:
            socket.socket(family, kind, 0 if name == "packet" else 1).close()
            seen[name] = "open"
        except OSError as exc:
            seen[name] = exc.errno
    return {"refused": seen["interfaces"] == ["lo"] and "open" not in seen.values(), "seen": seen}


def control_groups() -> dict[str, Any]:
    """release_agent, notify_on_release, and a group without limits: none of it is mounted anywhere."""
    found = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if "cgroup" in line.split()[2]]
    shown = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if "photonbuild" in line]
    return {"refused": not found and not shown and not os.path.exists("/sys/fs/cgroup"), "seen": found + shown}


def terminal() -> dict[str, Any]:
    """Type into the terminal of who started this."""
    seen = {}
    for name, request in (("TIOCSTI", 0x5412), ("TIOCLINUX", 0x541C)):
        try:
            fcntl.ioctl(0, request, b"x")
            seen[name] = 0
        except OSError as exc:
            seen[name] = -(exc.errno or 0)
    return {"refused": set(seen.values()) == {-errno.EPERM}, "seen": seen}


def kernel_calls() -> dict[str, Any]:
    text = ctypes.c_char_p
    return calls(
        bpf=(321, 5, None, 0),
        perf_event_open=(298, None, 0, -1, -1, 0),
        io_uring_setup=(425, 8, None),
        userfaultfd=(323, 0),
        kexec_load=(246, 0, 0, None, 0),
        init_module=(175, None, 0, text(b"")),
        open_by_handle_at=(304, -100, None, 0),
        syslog=(103, 3, None, 0),
        reboot=(169, 0xFEE1DEAD, 672274793, 0, None),
        settimeofday=(164, text(struct.pack("qq", 0, 0)), None),
        sethostname=(170, text(b"x"), 1),
        swapon=(167, text(b"/tmp/x"), 0),
        iopl=(172, 3),
    )


def kill_outside() -> dict[str, Any]:
    """Every process that can be seen; the host's are none of them."""
    signal.signal(signal.SIGCONT, signal.SIG_IGN)
    seen = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    try:
        os.kill(-1, signal.SIGCONT)
    except OSError as exc:
        return {"refused": True, "seen": exc.errno}
    return {"refused": len(seen) <= 4, "seen": seen}


def privileges() -> dict[str, Any]:
    status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    capabilities = int(status["CapBnd"], 16) | int(status["CapEff"], 16) | int(status["CapPrm"], 16)
    dangerous = [number for number in (2, 12, 13, 14, 15, 16, 17, 19, 21, 22, 23, 24, 25, 27, 38, 39, 40)
                 if capabilities >> number & 1]  # fmt: skip
    confined = status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    return {"refused": confined and not dangerous, "seen": dangerous}


def attempts() -> dict[str, Callable[..., dict[str, Any]]]:
    return {name: value for name, value in globals().items() if callable(value) and not name.startswith("_")}


if __name__ == "__main__":
    json.dump(attempts()[sys.argv[1]](*sys.argv[2:]), sys.stdout)
