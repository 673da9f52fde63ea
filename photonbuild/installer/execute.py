"""Executes a plan. Every step goes to the log, which is copied into the target; whatever was mounted is unmounted."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import IO

from photonbuild.disk.gpt import SECTOR
from photonbuild.disk.grub import boot_blocks
from photonbuild.errors import PhotonbuildError
from photonbuild.installer.errors import MachineError, PackageError, StepError
from photonbuild.installer.log import Log
from photonbuild.installer.machine.disks import require_same
from photonbuild.installer.machine.efivars import write_boot_entry
from photonbuild.installer.machine.facts import Facts
from photonbuild.installer.paths import Paths
from photonbuild.installer.plan.steps import (
    BootCode,
    BootEntry,
    Command,
    Copy,
    Folder,
    Patch,
    Plan,
    SameDisk,
    Step,
    Write,
)
from photonbuild.run import run

TARGET_LOG = "/var/log/installer.log"
UNMOUNT_ATTEMPTS = 3
CHUNK = 1 << 20


def require_programs(plan: Plan) -> None:
    """Raises MachineError naming every program of the plan that this system lacks."""
    missing = [name for name in plan.programs if shutil.which(name) is None]
    if missing:
        raise MachineError(
            f"this system lacks {', '.join(missing)}",
            hint="nothing was written; start the installer's entry of the medium",
        )


def prepare(plan: Plan, facts: Facts, log: Log) -> None:
    """The part of a plan that writes nothing to the disk. Raises PackageError and StepError."""
    with contextlib.ExitStack() as undo:
        _perform_all("preparation", plan.preparation, facts, log, undo)


def execute(plan: Plan, facts: Facts, log: Log) -> None:
    """The part that writes to the disk. Raises StepError naming the step that failed, with its output."""
    with contextlib.ExitStack() as undo:
        try:
            _perform_all("step", plan.steps, facts, log, undo)
            log.write("info", f"installed onto {plan.disk}")
        except BaseException as error:
            log.write("debug", f"{type(error).__name__}: {error}")
            raise
        finally:
            # A failed installation keeps its log on the disk too, if it came as far as a root file system.
            with contextlib.suppress(OSError, StepError):
                copy_log(facts.paths)
    log.write("debug", "everything is unmounted")


def copy_log(paths: Paths) -> None:
    if os.path.ismount(paths.target) or (paths.target / "var/log").is_dir():
        target = inside(paths, TARGET_LOG)
        if target.parent.is_dir():
            with open(paths.log, "rb") as log:
                _replace(target, log, 0o600)


def _perform_all(word: str, steps: tuple[Step, ...], facts: Facts, log: Log, undo: contextlib.ExitStack) -> None:
    for number, step in enumerate(steps, 1):
        name = f"{word} {number} of {len(steps)}"
        log.write("info", f"[{number}/{len(steps)}] {step.title}")
        started = time.monotonic()
        try:
            perform(step, facts, log)
        except PhotonbuildError as error:
            raise type(error)(
                f"{name} failed, {step.title}: {error.message}",
                detail=error.detail,
                hint=error.hint or f"the log is {log.path}",
            ) from None
        except OSError as error:
            raise StepError(f"{name} failed, {step.title}: {error}", hint=f"the log is {log.path}") from None
        if isinstance(step, Command) and step.undo:
            undo.callback(_undo, step.undo, log)
        if isinstance(step, Write | Copy) and step.temporary:
            undo.callback(inside(facts.paths, step.path).unlink, missing_ok=True)
        log.write("debug", f"done in {time.monotonic() - started:.2f} s")


def perform(step: Step, facts: Facts, log: Log) -> None:
    """One step. Raises OSError, StepError and PackageError."""
    match step:
        case Command():
            _command(step, facts, log)
        case Folder():
            folder = inside(facts.paths, step.path)
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(step.mode)
        case Write():
            path = Path(step.path) if step.live else inside(facts.paths, step.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, io.BytesIO(step.text.encode()), step.mode)
        case Copy():
            _copy(step.source, step.path, facts.paths, step.mode)
        case SameDisk():
            require_same(step.disk, facts.kernel, facts.paths)
        case Patch():
            _patch(step.device, [(step.offset, step.content)])
        case BootCode():
            core = step.core.read_bytes()
            if len(core) > step.size:
                raise StepError(f"GRUB's core image has {len(core)} bytes, and its partition {step.size}")
            code, blocks = boot_blocks(step.boot.read_bytes(), core, step.start // SECTOR)
            _patch(step.disk, [(0, code), (step.start, blocks)])
        case BootEntry():
            try:
                name = write_boot_entry(facts.kernel.root / "sys/firmware/efi/efivars", step.option)
                log.write("debug", f"it is {name}")
            except OSError as error:
                log.write("warning", f"the firmware takes no boot entry, and has to find the disk itself: {error}")


def _command(step: Command, facts: Facts, log: Log) -> None:
    log.write("debug", f"$ {shlex.join(step.argv)}")
    done = run(step.argv, input=step.input.encode() if step.input else None, check=False, error=StepError)
    output = f"{done.stdout}{done.stderr}".strip()
    if output:
        log.write("debug", output)
    if done.returncode == 0:
        return
    if step.reason:
        raise PackageError(step.reason, detail=output[-4000:] or None)
    raise StepError(f"{step.argv[0]} failed with exit code {done.returncode}", detail=output[-4000:] or None)


def _undo(argv: tuple[str, ...], log: Log) -> None:
    """Unmount and the like; what is busy gets a moment. Never raises: the reason to end comes first."""
    for attempt in range(1, UNMOUNT_ATTEMPTS + 1):
        log.write("debug", f"$ {shlex.join(argv)}")
        try:
            done = run(argv, check=False)
        except PhotonbuildError as error:
            log.write("warning", str(error))
            return
        if done.returncode == 0:
            return
        if attempt < UNMOUNT_ATTEMPTS:
            time.sleep(attempt)
    log.write("warning", f"{shlex.join(argv)} failed: {done.stderr.strip()}")


def inside(paths: Paths, path: str) -> Path:
    """`path` in the target. Raises StepError when a link in the target leads out of it."""
    target = Path(os.path.realpath(paths.target))
    if path == "/":
        return target
    parent = Path(os.path.realpath(f"{target}/{os.path.dirname(path)}"))
    if not parent.is_relative_to(target):
        raise StepError(f"{path} leads out of the target, to {parent}")
    return parent / os.path.basename(path)


def _replace(path: Path, content: IO[bytes], mode: int) -> None:
    """Write beside and rename: a link at `path` is replaced, not followed, and no other mode is ever seen."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".installer-")
    try:
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
        # FAT has no modes.
        with contextlib.suppress(PermissionError):
            os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _copy(source: Path, path: str, paths: Paths, mode: int) -> None:
    """A file, a link inside a folder, or a folder with all that is in it; no link of the target leads out of it."""
    if not source.is_dir():
        _copy_file(source.resolve(), inside(paths, path), mode)
        return
    for folder, names, files in os.walk(source):
        names.sort()
        place = f"{path.rstrip('/')}/{Path(folder).relative_to(source)}".removesuffix("/.")
        links = [name for name in names if (Path(folder) / name).is_symlink()]
        made = inside(paths, f"{place}/.").resolve()
        if not made.is_dir():
            made.mkdir(parents=True)
            made.chmod(copied_mode(os.stat(folder).st_mode))
        for name in sorted([*files, *links]):
            _copy_file(Path(folder) / name, inside(paths, f"{place}/{name}"))


def _copy_file(source: Path, target: Path, mode: int = 0) -> None:
    status = os.lstat(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(status.st_mode):
        target.unlink(missing_ok=True)
        target.symlink_to(os.readlink(source))
    elif stat.S_ISREG(status.st_mode):
        with open(source, "rb") as content:
            _replace(target, content, mode or copied_mode(status.st_mode))
    else:
        raise StepError(f"{source} is neither a file nor a folder")


def copied_mode(mode: int) -> int:
    """Mode of a copy: its owner may write, as on no CD, and nobody else gets more than at the source.

    What runs there for its owner only does so here; bits that lend the owner's rights are not kept.
    """
    return (mode & 0o755) | 0o600


def _patch(device: str, pieces: list[tuple[int, bytes]]) -> None:
    with open(device, "r+b") as handle:
        for offset, content in pieces:
            handle.seek(offset)
            handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
