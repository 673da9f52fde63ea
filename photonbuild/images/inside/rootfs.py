#!/usr/bin/python3
"""Install a package set into an empty root and pack it as a normalised tar. Runs in the seed (python3-rpm).

Started by `photonbuild.images.rootfs` as `rootfs.py REQUEST RESULT` (JSON files). The result is
``{"packages": [...], "kernel": ..., "seconds": {...}}`` or ``{"error": text, "where": ..., "detail": ...}``.
Everything that the clock or the machine could leave behind is removed here, so that the same packages give
the same bytes: rpm itself takes its install times from SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import rpm  # type: ignore[import-not-found,unused-ignore]

HELPERS = "/usr/lib/photonbuild"
LIBC = ctypes.CDLL(None, use_errno=True)
TARGET = Path("/target")  # the root without what is mounted in it
LIVE = Path("/target.live")  # the same with /proc and /dev, for programs that run in it
EMPTIED = ("dev", "proc", "run", "sys", "tmp", "var/cache", "var/log", "var/tmp")
UNWANTED = ("etc/.pwd.lock", "etc/group-", "etc/gshadow-", "etc/passwd-", "etc/shadow-")
UNIT_FOLDERS = ("etc/systemd/system", "usr/lib/systemd/system")
VERBS = {"enabled": "enable", "disabled": "disable", "masked": "mask"}
STAMP = "# Written when the image was made: the vendor tree in /usr is the one that /{0} was set up for.\n"


class Failure(Exception):
    """A root file system that cannot be made: what, which package, the output of the other program."""

    def __init__(self, message: str, *, where: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.fields = {"error": message, "where": where, "detail": detail}


class Scriptlets:
    """rpm's callback: opens packages, and keeps what each scriptlet printed and which ones failed."""

    def __init__(self, output: IO[bytes]) -> None:
        self.output = output
        self.position = 0
        self.open: dict[str, IO[bytes]] = {}
        self.complaints: list[tuple[str, str]] = []

    def __call__(self, what: int, amount: int, total: int, key: Any, _data: Any) -> Any:
        name = Path(key).name if isinstance(key, str) else "file trigger"
        if what == rpm.RPMCALLBACK_INST_OPEN_FILE:
            self.open[key] = open(key, "rb")  # noqa: SIM115 (rpm closes it: INST_CLOSE_FILE)
            return self.open[key].fileno()
        if what == rpm.RPMCALLBACK_INST_CLOSE_FILE:
            self.open.pop(key).close()
        elif what in (rpm.RPMCALLBACK_CPIO_ERROR, rpm.RPMCALLBACK_UNPACK_ERROR):
            self.complaints.append((name, "cannot be unpacked"))
        elif what in (rpm.RPMCALLBACK_SCRIPT_STOP, rpm.RPMCALLBACK_SCRIPT_ERROR):
            LIBC.fflush(None)
            self.output.seek(self.position)
            text = self.output.read().decode(errors="replace").strip()
            self.position = self.output.tell()
            if text or total != rpm.RPMRC_OK:
                outcome = "printed something" if total == rpm.RPMRC_OK else "failed"
                self.complaints.append((name, f"scriptlet %{tag_name(amount)} {outcome}: {text or '(no output)'}"))
        return None


def tag_name(tag: int) -> str:
    """``post`` for RPMTAG_POSTIN and so on; triggers have private tags, which are called just that."""
    return str(rpm.tagnames.get(tag, "trigger")).lower().removesuffix("in")


def command(*argv: str, failure_mark: str | None = None) -> None:
    """Run a program to its end; a line of output with `failure_mark` is a failure, whatever the exit code says."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sys.stdout.write(done.stdout)
    if done.returncode:
        raise Failure(f"{argv[0]} failed with exit code {done.returncode}", detail=done.stdout.strip())
    marked = [line for line in done.stdout.splitlines() if failure_mark and failure_mark in line]
    if marked:
        raise Failure(f"{marked[0]} (of {len(marked)} errors)", detail=done.stdout.strip())


def in_root(*argv: str, failure_mark: str | None = None) -> None:
    command("chroot", str(LIVE), *argv, failure_mark=failure_mark)


def transaction(root: Path, paths: list[str], exclude_docs: bool) -> Any:
    ts = rpm.TransactionSet(str(root), rpm.RPMVSF_MASK_NOSIGNATURES)
    ts.setFlags(rpm.RPMTRANS_FLAG_NOPLUGINS | (rpm.RPMTRANS_FLAG_NODOCS if exclude_docs else 0))
    ts.setProbFilter(rpm.RPMPROB_FILTER_DISKSPACE | rpm.RPMPROB_FILTER_DISKNODES)
    for path in paths:
        with open(path, "rb") as handle:
            ts.addInstall(ts.hdrFromFdno(handle.fileno()), path, "i")
    return ts


@contextlib.contextmanager
def standard_output(file: IO[bytes]) -> Iterator[None]:
    """Let what this process prints go to `file` for a while."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(file.fileno(), 1)
    try:
        yield
    finally:
        LIBC.fflush(None)
        os.dup2(saved, 1)
        os.close(saved)


def check_closed(paths: list[str]) -> None:
    """Raise Failure if the whole set has an unmet requirement or a conflict (the solver says it has none)."""
    ts = transaction(TARGET, paths, False)
    ts.check()
    problems = [str(problem) for problem in ts.problems()]
    if problems:
        raise Failure("the package set is not closed", detail="\n".join(problems))


def install(root: Path, paths: list[str], exclude_docs: bool) -> None:
    """One rpm transaction. Scriptlets must be silent and succeed: whatever one prints is an error here."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile("w+") as messages:
        rpm.setLogFile(messages)
        rpm.setVerbosity(rpm.RPMLOG_WARNING)
        ts = transaction(root, paths, exclude_docs)
        ts.scriptFd = output.fileno()
        ts.order()
        scriptlets = Scriptlets(output)
        with standard_output(output):  # Lua scriptlets run in this process and print there
            problems = ts.run(scriptlets, "") or []
        messages.seek(0)
        said = messages.read().strip()
        rpm.setLogFile(sys.stderr)
    for where, text in scriptlets.complaints:
        raise Failure(
            text.partition(":")[0],
            where=where,
            detail="\n".join(filter(None, (text.partition(": ")[2], said))),
        )
    if problems or said:
        raise Failure("rpm could not install the package set", detail="\n".join([*map(str, problems), said]).strip())


def name_of(path: str) -> str:
    """The name of the package in this file."""
    with open(path, "rb") as handle:
        header = rpm.TransactionSet("/", rpm.RPMVSF_MASK_NOSIGNATURES).hdrFromFdno(handle.fileno())
    return str(header["name"])


def put_files(files: list[dict[str, Any]]) -> None:
    """Write the files the settings ask for: {"path", "mode", "text"}; missing parents are made."""
    for entry in files:
        path = TARGET / entry["path"].lstrip("/")
        for parent in reversed(path.parents):
            if TARGET in parent.parents and not parent.exists():
                parent.mkdir(mode=0o755 if entry["mode"] & 0o044 else 0o700)
        # A link would lead out of the root, or to a file of another name.
        path.unlink(missing_ok=True)
        path.write_text(entry["text"])
        path.chmod(entry["mode"])


def unit_files() -> set[str]:
    return {path.name for folder in UNIT_FOLDERS for path in TARGET.glob(f"{folder}/*.*")}


def set_units(units: list[dict[str, str]]) -> None:
    """Enable, disable or mask units: {"unit", "state", "where"}. A unit that is not there is a failure."""
    known = unit_files()
    for entry in units:
        unit, state = entry["unit"], entry["state"]
        template = re.sub(r"@[^.]*\.", "@.", unit)
        if not {unit, template} & known:
            near = difflib.get_close_matches(unit, sorted(known), 1)
            hint = f", did you mean '{near[0]}'" if near else ""
            raise Failure(f"there is no unit '{unit}' in this image{hint}", where=entry["where"])
        in_root("/usr/bin/systemctl", VERBS[state], unit)
        found = subprocess.run(
            ["chroot", str(LIVE), "/usr/bin/systemctl", "is-enabled", unit], capture_output=True, text=True
        ).stdout.strip()
        if found == "static" and state == "enabled":
            raise Failure(f"'{unit}' cannot be enabled: it says nowhere what wants it", where=entry["where"])


def customise(argv: list[str]) -> list[str]:
    """What the image has besides packages, by the program beside this one; the paths that it changed."""
    done = subprocess.run(["python3", "-I", f"{HELPERS}/customise.py", *argv], stdin=subprocess.DEVNULL)
    try:
        answer = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        raise Failure(f"customise.py died with exit code {done.returncode}") from None
    if "error" in answer:
        raise Failure(answer["error"], where=answer["where"], detail=answer["detail"])
    return list(answer["changed"])


def set_up(request: dict[str, Any], path: str) -> list[str]:
    """Units, default target, loader cache, identity: what a first boot would otherwise spend time on.

    Returns the paths that the customisation changed.
    """
    if request["default_target"]:
        in_root("/usr/bin/systemctl", "preset-all")
        in_root("/usr/bin/systemctl", "set-default", request["default_target"])
    if (TARGET / "usr/sbin/ldconfig").exists():
        in_root("/usr/sbin/ldconfig")
    # Empty, not missing: systemd makes an id at each boot and does not take that boot for the first one.
    (TARGET / "etc/machine-id").write_text("")
    (TARGET / "etc/machine-id").chmod(0o444)
    for name in ("etc", "var"):
        (TARGET / name / ".updated").write_text(STAMP.format(name) + f"TIMESTAMP_NSEC={request['epoch']}000000000\n")
    put_files(request["files"])
    changed = customise([path, f"{path}.customised"]) if request.get("customise") else []
    set_units(request["units"])
    return changed


def clean(exclude: list[str]) -> None:
    for name in EMPTIED:
        for path in sorted((TARGET / name).rglob("*"), reverse=True):
            if path.is_symlink() or not path.is_dir():
                path.unlink()
    for name in UNWANTED:
        (TARGET / name).unlink(missing_ok=True)
    for pattern in exclude:
        for path in sorted(TARGET.glob(pattern.lstrip("/"))):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def compact_database(folder: Path) -> None:
    """Fold the write-ahead log into rpm's database and drop locks: one file stays, always the same bytes."""
    database = sqlite3.connect(folder / "rpmdb.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = DELETE")
    database.execute("VACUUM")
    database.close()
    for path in folder.iterdir():
        if path.name != "rpmdb.sqlite":
            path.unlink()


def pack(tar: str, epoch: int) -> None:
    """A PAX tar: sorted, numeric owners, no time after the epoch, extended attributes, no process ids."""
    command(
        "tar", "--create", f"--file={tar}", f"--directory={TARGET}", "--format=pax", "--sort=name",
        "--numeric-owner", f"--mtime=@{epoch}", "--clamp-mtime", "--xattrs", "--xattrs-include=*",
        "--no-acls", "--no-selinux",
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", ".",
    )  # fmt: skip


def kernels() -> list[str]:
    return sorted(str(path.relative_to(TARGET)) for path in TARGET.glob("usr/lib/modules/*/vmlinuz"))


def build(request: dict[str, Any], path: str) -> dict[str, Any]:
    seconds: dict[str, float] = {}
    started = time.monotonic()

    def lap(name: str) -> None:
        nonlocal started
        seconds[name], started = round(time.monotonic() - started, 2), time.monotonic()

    for name, value in request["macros"].items():
        rpm.addMacro(name, value)
    check_closed(request["rpms"])
    first = [path for path in request["rpms"] if name_of(path) in request["first"]]
    rest = [path for path in request["rpms"] if path not in first]
    lap("read")
    # The first packages own /proc and /dev themselves, which nobody can give an owner while they are mounted.
    for root, paths in ((TARGET, first), (LIVE, rest)):
        if paths:
            install(root, paths, request["exclude_docs"])
    lap("install")
    changed = set_up(request, path)
    for argv in request["commands"]:
        in_root(*argv, failure_mark=request["failure_mark"])
    for inner, outer in request["outputs"].items():
        shutil.copyfile(TARGET / inner.lstrip("/"), outer)
    lap("commands")
    if request["tar"] is None:
        return {"kernels": kernels(), "changed": changed, "seconds": seconds}
    database = TARGET / rpm.expandMacro("%{_dbpath}").lstrip("/")
    compact_database(database)
    clean(request["exclude_paths"])
    lap("database")
    pack(request["tar"], request["epoch"])
    lap("tar")
    return {"kernels": kernels(), "changed": changed, "seconds": seconds}


def main(argv: list[str]) -> int:
    with open(argv[0], encoding="utf-8") as handle:
        request = json.load(handle)
    os.umask(0o022)
    try:
        result = build(request, argv[0])
    except Failure as failure:
        result = failure.fields
    with open(argv[1], "w", encoding="utf-8") as handle:
        json.dump(result, handle)
    return 1 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
