"""Read specs with rpm's own parser, inside the sandbox. Standard library and python3-rpm only.

    specs.py SPEC… → JSON on standard output: a list of {"path", "spec": record} or {"path", "error": text}

Specs run code while they are parsed (`%(…)`, `%{lua:…}`), so the root is read-only and there is no network. Each spec
is parsed by a process of its own, with fresh macros and bounded time, memory and output; what it prints meanwhile is
the record's `warnings`. A spec that fails says nothing about the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
import sys
from typing import IO, Any

import rpm

FLAGS = ((rpm.RPMSENSE_LESS, "<"), (rpm.RPMSENSE_GREATER, ">"), (rpm.RPMSENSE_EQUAL, "="))
SECONDS = 60  # for one spec; a spec of a distribution takes some milliseconds
MEMORY = 2 << 30
OUTPUT = 16 << 20  # of what is printed or written, the answer included
SHOWN = 4000


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


def record(path: str) -> dict[str, Any]:
    """What the build needs to know of a spec; `expanded` is the digest of its text with every macro expanded."""
    rpm.reloadConfig()
    rpm.addMacro("_sourcedir", os.path.dirname(path))
    spec = rpm.spec(path, flags=rpm.RPMSPEC_ANYARCH | rpm.RPMSPEC_FORCE)
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


def temporary() -> IO[bytes]:
    return os.fdopen(os.memfd_create("specs"), "w+b")


def child(path: str, answer: IO[bytes], printed: IO[bytes]) -> None:
    """Parse one spec; the answer is a file, so that a spec whose code lives on keeps nobody waiting."""
    os.dup2(printed.fileno(), 1)
    os.dup2(printed.fileno(), 2)
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT, OUTPUT))
    try:
        found = {"path": path, "spec": record(path)}
    except Exception as exc:  # rpm raises plain errors of several types
        found = {"path": path, "error": str(exc)}
    answer.write(json.dumps(found).encode())
    answer.flush()


def outcome(path: str, status: int, answer: IO[bytes], printed: IO[bytes]) -> dict[str, Any]:
    """What came of one spec: its record with what it printed, or the reason why there is none."""
    printed.seek(0)
    text = printed.read(SHOWN).decode(errors="replace").strip()
    answer.seek(0)
    found: dict[str, Any] = {"path": path, "error": "the parser gave no answer"}
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        slow = number in (signal.SIGALRM, signal.SIGXCPU)
        reason = f"it took longer than {SECONDS} s" if slow else f"the parser was ended by signal {number}"
        found = {"path": path, "error": reason}
    else:
        with contextlib.suppress(ValueError):
            found = json.loads(answer.read())
    if "spec" in found:
        found["spec"]["warnings"] = text
    else:
        # rpm tells what is wrong on standard error, and raises an error that says little.
        found["error"] = "\n".join(dict.fromkeys(part for part in (text, found["error"]) if part))
    return found


def parse(paths: list[str], at_once: int) -> list[dict[str, Any]]:
    """Parse each in a child of its own, so many at once, so that macros, limits and output are that spec's alone."""
    running: dict[int, tuple[str, IO[bytes], IO[bytes]]] = {}
    found: dict[str, dict[str, Any]] = {}
    todo = paths[::-1]
    while todo or running:
        if todo and len(running) < at_once:
            path, answer, printed = todo.pop(), temporary(), temporary()
            pid = os.fork()
            if pid == 0:
                try:
                    child(path, answer, printed)
                finally:
                    os._exit(0)
            running[pid] = (path, answer, printed)
            continue
        pid, status = os.wait()
        if pid in running:
            path, answer, printed = running.pop(pid)
            with answer, printed:
                found[path] = outcome(path, status, answer, printed)
    return [found[path] for path in paths]


if __name__ == "__main__":
    json.dump(parse(sys.argv[1:], len(os.sched_getaffinity(0))), sys.stdout)
