"""What an image says about running it: the ``config`` of an OCI image configuration, checked.

https://github.com/opencontainers/image-spec/blob/main/config.md
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pico.errors import NotFoundError, PicoError

ARCHITECTURE, SYSTEM = "amd64", "linux"
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """How a container of the image runs unless it is told otherwise."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""
    cwd: str = "/"
    stop_signal: str = "SIGTERM"
    exposed: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    diff_ids: tuple[str, ...] = ()


def parse(document: Any, where: str) -> ImageConfig:
    """Check a configuration. Raises PicoError when it is none, or for another architecture."""
    if not isinstance(document, dict) or not isinstance(document.get("rootfs"), dict):
        raise PicoError("the image's configuration is not one", where=where)
    system, architecture = document.get("os", SYSTEM), document.get("architecture")
    if architecture is None:
        raise PicoError("the image's configuration names no architecture", where=where)
    if (system, architecture) != (SYSTEM, ARCHITECTURE):
        raise PicoError(
            f"the image is for {system}/{architecture}, machines are {SYSTEM}/{ARCHITECTURE}",
            where=where,
            hint=f"get the image for {SYSTEM}/{ARCHITECTURE}",
        )
    config = document.get("config") or {}
    if not isinstance(config, dict):
        raise PicoError("key 'config' of the image's configuration must be a mapping", where=where)
    result = ImageConfig(
        entrypoint=_texts(config, "Entrypoint", where),
        command=_texts(config, "Cmd", where),
        env=_texts(config, "Env", where),
        user=_text(config, "User", where),
        cwd=_text(config, "WorkingDir", where) or "/",
        stop_signal=_text(config, "StopSignal", where) or "SIGTERM",
        exposed=_keys(config, "ExposedPorts", where),
        volumes=_keys(config, "Volumes", where),
        diff_ids=_texts(document["rootfs"], "diff_ids", where),
    )
    if not result.diff_ids:
        raise PicoError("the image has no layers", where=where)
    signal_number(result.stop_signal)
    return result


def _texts(config: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = config.get(key) or []
    if not isinstance(value, list) or not all(map(_is_text, value)):
        raise PicoError(f"key '{key}' of the image's configuration must be a list of strings", where=where)
    return tuple(value)


def _is_text(value: Any) -> bool:
    """Something that a program can be given: JSON also has NUL, and halves of characters."""
    try:
        return isinstance(value, str) and b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def _text(config: Mapping[str, Any], key: str, where: str) -> str:
    value = config.get(key) or ""
    if not _is_text(value):
        raise PicoError(f"key '{key}' of the image's configuration must be a string", where=where)
    return value


def _keys(config: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = config.get(key) or {}
    if not isinstance(value, dict) or not all(map(_is_text, value)):
        raise PicoError(f"key '{key}' of the image's configuration must be a mapping", where=where)
    return tuple(sorted(value))


def arguments(image: ImageConfig, entrypoint: str | None, command: Sequence[str], where: str) -> list[str]:
    """What is started, as docker has it: a new entrypoint also drops the image's command. Raises PicoError."""
    if entrypoint is None:
        words = [*image.entrypoint, *(command or image.command)]
    else:
        words = [*([entrypoint] if entrypoint else []), *command]
    if not words:
        raise NotFoundError(
            "the image has no entrypoint and no command", where=where, hint="name a command after the image"
        )
    return words


def environment(image: ImageConfig, given: Sequence[str], *, tty: bool) -> list[str]:
    """The variables of the process: the defaults, the image's, then `given`; the last of a name wins."""
    merged: dict[str, str] = {}
    for entry in (DEFAULT_PATH, *(["TERM=xterm"] if tty else []), *image.env, *given):
        name, _, value = entry.partition("=")
        merged[name] = value
    return [f"{name}={value}" for name, value in merged.items()]


def signal_number(name: str) -> int:
    """``TERM``, ``SIGTERM``, ``15`` or ``SIGRTMIN+3``. Raises PicoError."""
    base, plus, offset = name.upper().removeprefix("SIG").partition("+")
    if _is_small(name) and 0 < int(name) < signal.NSIG:
        return int(name)
    if f"SIG{base}" in signal.Signals.__members__ and (not plus or _is_small(offset)):
        number = signal.Signals[f"SIG{base}"] + int(offset or 0)
        if number < signal.NSIG:
            return number
    raise PicoError(f"unknown signal '{name[:40]}'")


def _is_small(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 4
