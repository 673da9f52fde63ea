"""Read specs with rpm's own parser, inside the sandbox. Standard library and python3-rpm only.

    specs.py [--tree] SPEC… → JSON on standard output: a list of {"path", "spec": record} or {"path", "error": text}

Specs run code while they are parsed (`%(…)`, `%{lua:…}`), so the root is read-only and there is no network. Each spec
is parsed by a process of its own, with fresh macros and bounded time, memory and output; what it prints meanwhile is
the record's `warnings`. A spec that fails says nothing about the others, and can neither read nor write what the others
answer. An error that another try may not meet (time, memory, a signal) is marked with "again".

With `--tree` the specs are those of a foreign tree: their records have what a graph needs, also for what rpm takes and
a build here would not, and their bounds are tighter.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import IO, Any, NamedTuple

import rpm

FLAGS = ((rpm.RPMSENSE_LESS, "<"), (rpm.RPMSENSE_GREATER, ">"), (rpm.RPMSENSE_EQUAL, "="))
SHOWN = 4000
PR_SET_DUMPABLE = 4
MOST_FILES = 2000


class Bounds(NamedTuple):
    """Of one spec: seconds, bytes of memory, bytes of what is printed or written, the answer included.

    `total`: seconds after which none of the specs is started any more.
    """

    seconds: int
    memory: int
    output: int
    total: float


# A spec of a distribution takes some milliseconds.
OWN = Bounds(60, 2 << 30, 16 << 20, float("inf"))
TREE = Bounds(20, 1 << 30, 4 << 20, 300.0)


def dependencies(header: Any, kind: str) -> list[dict[str, str]]:
    """[{"name", "relation", "version"}], rpmlib() left out, in the spec's order."""
    names = header[f"{kind}name"]
    rows = zip(names, header[f"{kind}flags"], header[f"{kind}version"], strict=True)
    return [
        {"name": name, "relation": "".join(sign for bit, sign in FLAGS if flags & bit), "version": version}
        for name, flags, version in rows
        if not name.startswith("rpmlib(")
    ]


def package_record(header: Any) -> dict[str, Any]:
    return {
        "name": header["name"],
        "arch": header["arch"],
        "summary": header["summary"],
        "license": header["license"],
        "provides": dependencies(header, "provide"),
        "requires": dependencies(header, "require"),
    }


def parsed(path: str) -> Any:
    """The spec, read with the macros as the configuration has them: this process has read no other."""
    rpm.addMacro("_sourcedir", os.path.dirname(path))
    return rpm.spec(path, flags=rpm.RPMSPEC_ANYARCH | rpm.RPMSPEC_FORCE)


def record(path: str) -> dict[str, Any]:
    """What the build needs to know of a spec; `expanded` is the digest of its text with every macro expanded."""
    spec = parsed(path)
    source = spec.sourceHeader
    packages = [package_record(package.header) for package in spec.packages]
    return {
        "name": source["name"],
        "epoch": source["epoch"],
        "version": source["version"],
        "release": source["release"],
        "license": source["license"],
        "url": source["url"],
        "summary": source["summary"],
        "build_requires": dependencies(source, "require"),
        "build_conflicts": dependencies(source, "conflict"),
        "sources": [os.path.basename(name) for name, _, _ in sorted(spec.sources, key=lambda row: (row[2], row[1]))],
        "packages": [p for p in packages if not p["name"].endswith(("-debuginfo", "-debugsource"))],
        "expanded": hashlib.sha256(spec.parsed.encode()).hexdigest(),
    }


def tree_record(path: str) -> dict[str, Any]:
    """What the graph of a tree needs to know of a spec. `wanted`: does its own condition let it be built?"""
    spec = parsed(path)
    wanted = condition(rpm.expandMacro("%{?build_if}"))
    source = spec.sourceHeader
    return {
        **{name: source[name] for name in ("name", "epoch", "version", "release")},
        "wanted": wanted,
        "build_requires": dependencies(source, "require"),
        "packages": [
            {
                "name": package.header["name"],
                "provides": dependencies(package.header, "provide"),
                "requires": dependencies(package.header, "require"),
                "files": plain_files(package.fileList or ""),
            }
            for package in spec.packages
            if not package.header["name"].endswith(("-debuginfo", "-debugsource"))
        ],
    }


def condition(text: str) -> bool:
    """The value of an expression in a macro, as `%if` would take it; one that has none leaves a spec in."""
    if not text.strip():
        return True
    try:
        value = rpm.expandMacro(f"%[{text}]")
    except rpm.error:
        return True
    return value not in ("0", "")


def plain_files(text: str) -> list[str]:
    """The programs, settings and pkg-config modules that a %files section names in full: by these others ask for it."""
    lines = [line for line in text.splitlines() if "%exclude" not in line]
    words = re.sub(r"%[a-z]+(?:\([^)]*\))?", " ", "\n".join(lines)).split()
    found = {word for word in words if re.fullmatch(r"/[^*?\[\]{}%]+", word)}
    asked = [path for path in found if re.search(r"/s?bin/[^/]+$|^/etc/|/pkgconfig/[^/]+\.pc$", path)]
    return sorted(asked)[:MOST_FILES]


def temporary() -> IO[bytes]:
    return os.fdopen(os.memfd_create("specs"), "w+b")


def child(path: str, answer: IO[bytes], printed: IO[bytes], describe: Describe, bounds: Bounds) -> None:
    """Parse one spec; the answer is a file, so that a spec whose code lives on keeps nobody waiting."""
    os.setsid()
    os.dup2(printed.fileno(), 1)
    os.dup2(printed.fileno(), 2)
    signal.alarm(bounds.seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (bounds.seconds, bounds.seconds))
    resource.setrlimit(resource.RLIMIT_AS, (bounds.memory, bounds.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (bounds.output, bounds.output))
    try:
        found: dict[str, Any] = {"path": path, "spec": describe(path)}
    except MemoryError:
        found = {"path": path, "error": f"it took more than {bounds.memory >> 20} MiB of memory", "again": True}
    except Exception as exc:  # rpm raises plain errors of several types
        found = {"path": path, "error": str(exc)}
    answer.write(json.dumps(found).encode())
    answer.flush()


def outcome(path: str, status: int, answer: IO[bytes], printed: IO[bytes], bounds: Bounds) -> dict[str, Any]:
    """What came of one spec: its record with what it printed, or the reason why there is none."""
    printed.seek(0)
    text = printed.read(SHOWN).decode(errors="replace").strip()
    answer.seek(0)
    found: dict[str, Any] = {"path": path, "error": "the parser gave no answer", "again": True}
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        slow = number in (signal.SIGALRM, signal.SIGXCPU)
        reason = f"it took longer than {bounds.seconds} s" if slow else f"the parser was ended by signal {number}"
        found = {"path": path, "error": reason, "again": True}
    else:
        with contextlib.suppress(ValueError):
            found = json.loads(answer.read(bounds.output))
    if "spec" in found:
        found["spec"]["warnings"] = text
    else:
        # rpm tells what is wrong on standard error, and raises an error that says little.
        found["error"] = "\n".join(dict.fromkeys(part for part in (text, found["error"]) if part))
    return found


Describe = Callable[[str], dict[str, Any]]


def parse(paths: list[str], at_once: int, describe: Describe = record, bounds: Bounds = OWN) -> list[dict[str, Any]]:
    """Parse each in a child of its own, so many at once, so that macros, limits and output are that spec's alone."""
    # No process in here may open what another has open: see proc(5), /proc/PID/fd.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    running: dict[int, tuple[str, IO[bytes], IO[bytes]]] = {}
    found: dict[str, dict[str, Any]] = {}
    todo = paths[::-1]
    started = time.monotonic()
    while todo or running:
        if todo and time.monotonic() - started > bounds.total:
            error = f"not read: the specs before it took {bounds.total:.0f} s"
            found.update((path, {"path": path, "error": error, "again": True}) for path in todo)
            todo = []
            continue
        if todo and len(running) < at_once:
            path, answer, printed = todo.pop(), temporary(), temporary()
            pid = os.fork()
            if pid == 0:
                try:
                    for _, *others in running.values():
                        for other in others:
                            other.close()
                    child(path, answer, printed, describe, bounds)
                finally:
                    os._exit(0)
            running[pid] = (path, answer, printed)
            continue
        pid, status = os.wait()
        if pid in running:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            path, answer, printed = running.pop(pid)
            with answer, printed:
                found[path] = outcome(path, status, answer, printed, bounds)
    return [found[path] for path in paths]


if __name__ == "__main__":
    cores = len(os.sched_getaffinity(0))
    if sys.argv[1:2] == ["--tree"]:
        json.dump(parse(sys.argv[2:], cores, tree_record, TREE), sys.stdout)
    else:
        json.dump(parse(sys.argv[1:], cores), sys.stdout)
