"""Build one package inside its build root. Standard library and python3-rpm only.

    build.py PLAN.json      reads {"spec", "epoch"}; sources lie in /sources, results go to /out

/out gets rpms/*.rpm, srpms/*.src.rpm, trees/PACKAGE/ (each package extracted, debuginfo left out) and meta.json with
name, version, dependencies and file list of every package, as their headers say.
"""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import rpm

DEBUG = ("-debuginfo", "-debugsource")
FLAGS = ((rpm.RPMSENSE_LESS, "<"), (rpm.RPMSENSE_GREATER, ">"), (rpm.RPMSENSE_EQUAL, "="))
TOP, OUT = Path("/build"), Path("/out")


def prepare() -> None:
    for name in ("BUILD", "RPMS", "SRPMS", "SPECS"):
        (TOP / name).mkdir(parents=True, exist_ok=True)
    shutil.copytree("/sources", TOP / "SOURCES", symlinks=False, dirs_exist_ok=True)


def dependencies(header: Any, kind: str) -> list[dict[str, str]]:
    """[{"name", "relation", "version"}], each once, rpmlib() left out."""
    found = set()
    for name, flags, version in zip(
        header[f"{kind}name"], header[f"{kind}flags"], header[f"{kind}version"], strict=True
    ):
        sign = "".join(text for bit, text in FLAGS if flags & bit)
        if not name.startswith("rpmlib("):
            found.add((name, sign, version if sign else ""))
    return [{"name": name, "relation": relation, "version": version} for name, relation, version in sorted(found)]


def elf_files(header: Any) -> list[list[str]]:
    """[[path, sha256]] of the package's ELF files: rpm has recorded class and digest of each."""
    files = rpm.files(header)
    return [[f.name, f.digest] for f in files if f.color and stat.S_ISREG(f.mode)]


def describe(path: Path) -> dict[str, Any]:
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES | rpm._RPMVSF_NODIGESTS)
    with open(path, "rb") as handle:
        header = transaction.hdrFromFdno(handle.fileno())
    return {
        "name": header["name"],
        "nevra": header["nevra"],
        "arch": header["arch"],
        "file": path.name,
        "source": header["sourcerpm"],
        "file_size": path.stat().st_size,
        "installed_size": header["longsize"] or header["size"],
        "license": header["license"],
        "provides": dependencies(header, "provide"),
        "requires": dependencies(header, "require"),
        "elf": elf_files(header),
    }


def collect() -> None:
    packages = []
    for name in ("rpms", "srpms", "trees"):
        (OUT / name).mkdir(exist_ok=True)
    for path in sorted((TOP / "RPMS").glob("*/*.rpm")):
        record = describe(path)
        packages.append(record)
        if not record["name"].endswith(DEBUG):
            tree = OUT / "trees" / record["name"]
            tree.mkdir()
            subprocess.run(["bsdtar", "-xpf", path, "-C", tree], check=True)
        shutil.copyfile(path, OUT / "rpms" / path.name)
    for path in (TOP / "SRPMS").glob("*.rpm"):
        shutil.copyfile(path, OUT / "srpms" / path.name)
    (OUT / "meta.json").write_text(json.dumps(packages, sort_keys=True), encoding="utf-8")


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    prepare()
    sys.stdout.flush()
    # Apart: with -ba each package holds the digest of the source package, and a changed comment would change them all.
    for step in ("-bs", "-bb"):
        argv = ["rpmbuild", step, "--nodeps", "--noclean", f"SOURCES/{plan['spec']}"]
        done = subprocess.run(argv, cwd=TOP, stdin=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(done.returncode)
    collect()


if __name__ == "__main__":
    main()
