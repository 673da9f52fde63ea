"""Freeze a freshly unpacked seed: prune, put the Go toolchain in place, check, digest. Standard library only.

    freeze.py ROOT SETTINGS.json → JSON on standard output: {"digest", "elf": [sha256 …], "problems": [path …]}

The digest covers every path, type, mode, owner, link target and content, so equal digests mean equal trees.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

# What differs from run to run or is of no use in a frozen root (paths without the first slash).
VOLATILE = (
    "var/lib/apt/lists",
    "var/cache",
    "var/log",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/available",
    "etc/machine-id",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/ssl/private",
    "etc/apt/sources.list",
    "tmp",
    "run",
    "dev",
    "proc",
    "sys",
)
EMPTY = ("dev", "proc", "sys", "run", "tmp", "var/cache", "var/log", "build")
DEVEL = (".h", ".hpp", ".a", ".pc")


def prune(root: Path, patterns: list[str]) -> None:
    for name in VOLATILE:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for name in EMPTY:
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o1777 if name == "tmp" else 0o755)


def place_go(root: Path, toolchain: Path) -> None:
    """The Go toolchain module becomes /usr/lib/go; the distribution's own Go, which fetched it, goes."""
    for old in [*root.glob("usr/lib/go-*"), *root.glob("usr/share/go-*")]:
        shutil.rmtree(old)
    target = root / "usr/lib/go"
    if target.is_symlink():
        target.unlink()
    os.rename(toolchain, target)
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)
        for name in files:
            path = Path(folder, name)
            path.chmod(0o755 if path.stat().st_mode & 0o111 else 0o644)
    for name in ("go", "gofmt"):
        link = root / "usr/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"../lib/go/bin/{name}")


def owned_paths(root: Path, owners: list[str]) -> set[str]:
    """Paths (with merged /usr) that the Debian packages `owners` installed."""
    found = set()
    for owner in owners:
        for listing in root.glob(f"var/lib/dpkg/info/{owner}*.list"):
            if listing.name.split(".list")[0].split(":")[0] == owner:
                for line in listing.read_text(encoding="utf-8").splitlines():
                    path = line.lstrip("/")
                    found.add(f"usr/{path}" if path.startswith(("lib/", "lib64/", "bin/", "sbin/")) else path)
    return found


def is_devel(path: Path, relative: str) -> bool:
    """A header, a static library, pkg-config data, or a link by which a linker finds a shared library."""
    if relative.endswith(DEVEL):
        return relative.startswith(("usr/include/", "usr/lib/", "usr/local/", "usr/share/pkgconfig/"))
    return relative.endswith(".so") and path.is_symlink() and relative.startswith("usr/lib/")


def scan(root: Path) -> tuple[str, list[str], list[str]]:
    """(digest of the tree, digests of its ELF files, development files), in the order of the paths' bytes."""
    total, elf, devel = hashlib.sha256(), [], []
    paths = []
    for folder, folders, files in os.walk(root):
        paths += [os.path.join(folder, name) for name in [*folders, *files]]
    for name in sorted(paths, key=os.fsencode):
        path, relative = Path(name), os.path.relpath(name, root)
        info = path.lstat()
        if stat.S_ISREG(info.st_mode):
            data = path.read_bytes()
            content = hashlib.sha256(data).hexdigest()
            if data[:4] == b"\x7fELF":
                elf.append(content)
        elif stat.S_ISLNK(info.st_mode):
            content = os.readlink(path)
        else:
            content = ""
        if is_devel(path, relative):
            devel.append(relative)
        total.update(f"{relative}\0{info.st_mode:o}\0{info.st_uid}\0{info.st_gid}\0{content}\n".encode())
    return total.hexdigest(), sorted(set(elf)), devel


def main() -> None:
    root, settings = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    result: dict[str, Any] = {}
    prune(root, settings["exclude_paths"] + settings["prune"])
    if settings["go"]:
        place_go(root, Path(settings["go"]))
    digest, elf, devel = scan(root)
    result["digest"], result["elf"] = digest, elf
    if settings["check_devel"]:
        ours = owned_paths(root, settings["devel_owners"])
        result["problems"] = [
            path
            for path in devel
            if path not in ours and not any(fnmatch.fnmatchcase(path, p) for p in settings["devel_allowed"])
        ]
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
