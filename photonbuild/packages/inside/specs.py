"""Read specs with rpm's own parser, inside the sandbox. Standard library and python3-rpm only.

    specs.py SPEC… → JSON on standard output: a list of {"path", "spec": record} or {"path", "error": text}

Specs run code while they are parsed (`%(…)`, `%{lua:…}`), so the root is read-only and there is no network; whatever a
spec prints to standard error meanwhile is an error. Each spec is parsed by a process of its own, with fresh macros.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from typing import Any

import rpm

FLAGS = ((rpm.RPMSENSE_LESS, "<"), (rpm.RPMSENSE_GREATER, ">"), (rpm.RPMSENSE_EQUAL, "="))


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
        "sources": [os.path.basename(name) for name, _, _ in sorted(spec.sources, key=lambda row: (row[2], row[1]))],
        "packages": [p for p in packages if not p["name"].endswith(("-debuginfo", "-debugsource"))],
        "expanded": hashlib.sha256(spec.parsed.encode()).hexdigest(),
    }


def parse(path: str) -> dict[str, Any]:
    """Parse in a child, so that macros and standard error are this spec's alone."""
    read, write = os.pipe()
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            os.dup2(errors.fileno(), 2)
            os.dup2(errors.fileno(), 1)
            try:
                answer = {"path": path, "spec": record(path)}
            except Exception as exc:  # rpm raises plain errors of several types
                answer = {"path": path, "error": str(exc)}
            with os.fdopen(write, "w", encoding="utf-8") as handle:
                json.dump(answer, handle)
            os._exit(0)
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as handle:
            text = handle.read()
        os.waitpid(child, 0)
        errors.seek(0)
        printed = errors.read().decode(errors="replace").strip()
    answer = json.loads(text) if text else {"path": path, "error": "the parser died"}
    if printed:
        answer = {"path": path, "error": printed}
    return answer


if __name__ == "__main__":
    json.dump([parse(path) for path in sys.argv[1:]], sys.stdout)
