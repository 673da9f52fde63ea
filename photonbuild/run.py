"""The one door to other programs on the host: argv lists, a clean environment, typed errors. No shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from photonbuild.errors import PhotonbuildError

# What a host program may need of the caller's environment: where it is, who we are, how to reach the network.
PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TERM",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
)


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A program that ended. `stdout` and `stderr` are empty when they went to a log; `seconds` is wall time."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_rss: int = 0
    scratch_bytes: int = 0
    out_of_memory: bool = False
    stopped: str | None = None


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment reduced to PASSED_ON, with one locale and time zone, plus `extra`."""
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env.update(LC_ALL="C.UTF-8", TZ="UTC")
    env.update(extra or {})
    return env


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    input: bytes | None = None,
    timeout: float | None = None,
    check: bool = True,
    error: type[PhotonbuildError] = PhotonbuildError,
) -> Completed:
    """Run a host program to its end. `env` is added to a clean environment; with `log`, output is appended there.

    Raises `error` with a command line that can be pasted when it cannot start, fails (with `check`) or times out.
    """
    words = tuple(str(word) for word in argv)
    started = time.monotonic()
    try:
        with open(log, "ab") if log else open(os.devnull, "wb") as sink:
            done = subprocess.run(
                words,
                cwd=cwd,
                env=clean_environment(env),
                input=input,
                timeout=timeout,
                check=False,
                stdin=subprocess.DEVNULL if input is None else None,
                stdout=sink if log else subprocess.PIPE,
                stderr=sink if log else subprocess.PIPE,
            )
    except FileNotFoundError as exc:
        raise error(f"cannot start {words[0]}: not found", hint=f"install {words[0]}") from exc
    except subprocess.TimeoutExpired as exc:
        raise error(f"{words[0]} did not end within {timeout:.0f} s", hint=shlex.join(words)) from exc
    result = Completed(
        argv=words,
        returncode=done.returncode,
        stdout=(done.stdout or b"").decode(errors="replace"),
        stderr=(done.stderr or b"").decode(errors="replace"),
        seconds=time.monotonic() - started,
    )
    if check and result.returncode:
        raise error(
            f"{words[0]} failed with exit code {result.returncode}",
            hint=f"run it by hand: {shlex.join(words)}",
            detail=tail_of(log) if log else (result.stderr or result.stdout).strip()[-4000:],
        )
    return result


def tail_of(log: Path, lines: int = 20) -> str:
    """The last `lines` lines of a log, read from its last 64 KiB."""
    try:
        with open(log, "rb") as handle:
            handle.seek(0, os.SEEK_END)
            handle.seek(max(0, handle.tell() - 65536))
            text = handle.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
