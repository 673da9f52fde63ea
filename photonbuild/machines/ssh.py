"""ssh into a test machine: its client configuration, one-time keys, the server's first bytes, free ports."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from photonbuild.run import run


def ssh_config(folder: Path, port: int, key: Path) -> str:
    """Text of an ssh_config(5) whose host ``machine`` is the guest. Commands share one connection. Pure."""
    return (
        f"Host machine\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {key}\n"
        f"  IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes\n  ConnectTimeout 20\n"
        f"  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
        f"  ControlPath {folder}/master\n  ControlMaster auto\n  ControlPersist yes\n"
    )


def one_time_key(folder: Path) -> Path:
    """A new ssh key in `folder`, without a passphrase; its public half is beside it."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "one-time", "-f", folder / "key"])
    return folder / "key"


def banner(port: int) -> bytes:
    """First bytes that a server on this machine's loopback sends, empty when there are none in time."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
        sock.settimeout(1.5)
        return sock.recv(16)
    return b""


def free_port() -> int:
    """A TCP port of this machine's loopback that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
