"""Values of options, with the meanings that ``docker run`` gives them. A value that is none raises PicoError."""

from __future__ import annotations

import argparse
import math
import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path

from pico.cli import terminal
from pico.containers.request import WINDOW, Request
from pico.errors import PicoError
from pico.vm.launch import Share
from pico.vm.network import Port
from pico.vm.qemu import VOLUMES

UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
LEAST_MEMORY, MOST_MEMORY, MOST_CPUS = 40, 65536, 16
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?")
PORT = re.compile(
    r"(?:(?:(?P<address>\[[0-9a-fA-F:]*\]|[0-9.]*):)?(?P<here>[0-9]*):)?(?P<there>[0-9]+)(?:/(?P<protocol>tcp|udp))?"
)


def memory(text: str) -> int:
    """``64m`` → MiB, rounded up."""
    match = re.fullmatch(r"([0-9]+)([bkmg]?)b?", text.lower())
    if not match:
        raise PicoError(f"'{text}' is no size of memory", hint="like 64m or 1g")
    size = math.ceil(int(match[1]) * UNITS[match[2]] / (1 << 20))
    if not LEAST_MEMORY <= size <= MOST_MEMORY:
        raise PicoError(f"a machine has {LEAST_MEMORY} to {MOST_MEMORY} MiB of memory, not {size}")
    return size


def cpus(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise PicoError(f"'{text}' is no number of processors") from None
    if not 0.01 <= value <= MOST_CPUS:
        raise PicoError(f"a machine has 0.01 to {MOST_CPUS} processors, not {text}")
    return value


def port(text: str) -> Port:
    """``[[ADDRESS:]PORT:]PORT[/PROTOCOL]``; without the host's port a free one is taken."""
    match = PORT.fullmatch(text)
    if not match:
        raise PicoError(f"'{text}' is no port to publish", hint="like 8080:80 or 127.0.0.1:5353:53/udp")
    if (match["address"] or "").startswith("["):
        raise PicoError(f"'{text}': ports are published on IPv4 addresses")
    protocol, address = match["protocol"] or "tcp", match["address"] or ""
    here, there = int(match["here"] or 0), int(match["there"])
    if not (here < 65536 and 0 < there < 65536):
        raise PicoError(f"'{text}': ports are 1 to 65535")
    if here == 0:
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.bind((address or "0.0.0.0", 0))
            here = int(sock.getsockname()[1])
    return Port(protocol, address, here, there)


def shares(texts: Sequence[str]) -> list[Share]:
    """``SOURCE:TARGET[:ro]``, a folder or a file. What does not exist becomes a folder, as docker has it."""
    if len(texts) > VOLUMES:
        raise PicoError(f"a machine has at most {VOLUMES} volumes, not {len(texts)}")
    return [_share(text) for text in texts]


def _share(text: str) -> Share:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise PicoError(f"'{text}' is no volume", hint="like /srv/data:/data or ./data:/data:ro")
    if not source.startswith(("/", "./", "../", "~")) and source not in (".", ".."):
        raise PicoError(
            f"'{source}': volumes are folders and files of this host, there are no named ones", hint=f"./{source}"
        )
    path = Path(source).expanduser().absolute()
    if os.path.normpath(target) == "/":
        raise PicoError(f"'{text}': a volume cannot be the root")
    try:
        if not path.exists():
            path.mkdir(parents=True)
    except OSError as exc:
        raise PicoError(f"cannot use this as a volume: {exc.strerror}", where=str(path)) from exc
    if not (path.is_dir() or path.is_file()):
        raise PicoError("a volume is a folder or a file", where=str(path))
    return Share(source=path, target=os.path.normpath(target), readonly=mode == "ro")


def environment(entries: Sequence[str], files: Sequence[str]) -> list[str]:
    """What ``-e`` and ``--env-file`` say; a name without a value takes the caller's, if there is one."""
    lines: list[str] = []
    for name in files:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise PicoError(f"cannot read the file of variables: {exc}", where=name) from exc
        lines += [line.lstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    result = []
    for entry in (*lines, *entries):
        name, equals, _ = entry.partition("=")
        if not name or any(character.isspace() for character in name):
            raise PicoError(f"'{entry}' is no environment variable", hint="like NAME=value")
        if equals:
            result.append(entry)
        elif name in os.environ:
            result.append(f"{name}={os.environ[name]}")
    return result


def machine_name(text: str) -> str:
    if not NAME.fullmatch(text) or len(text) > 128:
        raise PicoError(f"'{text}' is no name", hint="two or more letters, digits, '_', '.' and '-'")
    return text


def host_name(text: str) -> str:
    if not HOSTNAME.fullmatch(text):
        raise PicoError(f"'{text}' is no host name")
    return text


def window(*, tty: bool) -> tuple[int, int]:
    """Rows and columns for a process, with or without a terminal."""
    return terminal.size() if tty else WINDOW


def request(options: argparse.Namespace) -> Request:
    """What the command line asks for. Raises PicoError."""
    return Request(
        image=options.image,
        command=options.command,
        entrypoint=options.entrypoint,
        env=environment(options.env, options.env_file),
        cwd=options.workdir,
        user=options.user,
        groups=options.group_add,
        name=machine_name(options.name) if options.name else None,
        hostname=host_name(options.hostname) if options.hostname else None,
        memory=memory(options.memory) if options.memory else None,
        cpus=cpus(options.cpus) if options.cpus else None,
        ports=[port(text) for text in options.publish],
        shares=shares(options.volume),
        tmpfs=options.tmpfs,
        network=options.network,
        stop_signal=options.stop_signal,
        stdin=options.interactive,
        tty=options.tty,
        window=window(tty=options.tty),
        remove=options.rm,
        readonly=options.read_only,
        cold=options.cold,
        use_spares=not options.no_spare,
    )
