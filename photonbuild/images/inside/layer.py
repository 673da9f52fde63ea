#!/usr/bin/python3
"""Pack packages and files as a squashfs image that is laid over a root. Runs in the seed (python3-rpm, squashfs-tools).

Started by `photonbuild.images.installer` as `layer.py REQUEST` (a JSON file). The packages are unpacked, not installed:
one with a scriptlet is an error, and rpm's database is not touched. The same input gives the same bytes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import rpm  # type: ignore[import-not-found,unused-ignore]

TARGET = Path("/target")
SCRIPTLETS = (
    "prein",
    "postin",
    "pretrans",
    "posttrans",
    "triggerscripts",
    "filetriggerscripts",
    "transfiletriggerscripts",
)
OPTIONS = ("-comp", "zstd", "-Xcompression-level", "19", "-b", "256K", "-no-xattrs", "-quiet", "-no-progress")


def unpack(path: str) -> None:
    transaction = rpm.TransactionSet("/", rpm._RPMVSF_NOSIGNATURES)
    with open(path, "rb") as handle:
        header = transaction.hdrFromFdno(handle.fileno())
    present = [name for name in SCRIPTLETS if header[name]]
    if present:
        sys.exit(f"{header['name']} has the scriptlet %{present[0]}, which nothing would run in a layer")
    subprocess.run(["bsdtar", "-xpf", path, "-C", TARGET], check=True)


def remove(patterns: list[str]) -> None:
    for pattern in patterns:
        for path in sorted(TARGET.glob(pattern.lstrip("/"))):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def put(files: str) -> None:
    """Copy the prepared files as root's, with the one mode that all of them have."""
    for source in sorted(Path(files).rglob("*")):
        target = TARGET / source.relative_to(files)
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
        elif source.is_dir():
            target.mkdir(exist_ok=True)
        else:
            shutil.copyfile(source, target)
            target.chmod(0o644)


def compile_all(folders: list[str]) -> None:
    """Byte code for modules of ours, if this Python writes what the layer's reads; it is not checked when it is read.

    One process and one order: byte code depends on what was compiled before it.
    """
    theirs = next(iter(sorted(TARGET.glob("usr/lib/python3*/__pycache__/*.pyc"))), None)
    if theirs is None or theirs.read_bytes()[:4] != importlib.util.MAGIC_NUMBER:
        return
    for folder in folders:
        for path in sorted((TARGET / folder).rglob("*.py")):
            inner = f"/{path.relative_to(TARGET)}"
            compiled = importlib.util.cache_from_source(str(path))
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(path), cfile=compiled, dfile=inner, doraise=True, invalidation_mode=mode)


def pack(output: str, epoch: int) -> None:
    """sqfstar(1) of a sorted tar; the file system's own time is SOURCE_DATE_EPOCH."""
    argv = [
        "tar", "--create", f"--directory={TARGET}", "--format=pax", "--sort=name", "--numeric-owner",
        f"--mtime=@{epoch}", "--clamp-mtime", "--no-acls", "--no-selinux", "--no-xattrs",
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", ".",
    ]  # fmt: skip
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as tar:
        subprocess.run(["sqfstar", *OPTIONS, output], stdin=tar.stdout, check=True)
    if tar.returncode:
        sys.exit(f"tar failed with exit code {tar.returncode}")


def main(argv: list[str]) -> None:
    request: dict[str, Any] = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    os.umask(0o022)
    for path in request["rpms"]:
        unpack(path)
    remove(request["exclude_paths"])
    put(request["files"])
    compile_all(request["compile"])
    pack(request["output"], request["epoch"])


if __name__ == "__main__":
    main(sys.argv[1:])
