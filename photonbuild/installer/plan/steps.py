"""What an installation consists of: steps as values, so that they can be shown, tested, and then executed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from photonbuild.disk import efi
from photonbuild.installer.kickstart.urls import redacted
from photonbuild.installer.machine.facts import Disk


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program with its arguments. `undo` is run at the end of the installation, whatever its outcome, last first.

    What a `secret` one reads is not shown. With `reason` a failure is said to be that, and to be one of packages
    rather than of a step.
    """

    title: str
    argv: tuple[str, ...]
    input: str = field(default="", repr=False)
    undo: tuple[str, ...] = ()
    reason: str = ""
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A directory of the target, made unless it is there."""

    title: str
    path: str
    mode: int = 0o755


@dataclass(frozen=True, kw_only=True)
class Write:
    """A file of the target, or with `live` of the live system, replaced if it is there. A `secret` is not shown.

    What is `temporary` is removed at the end of the installation, whatever its outcome.
    """

    title: str
    path: str
    text: str
    mode: int = 0o644
    secret: bool = False
    live: bool = False
    temporary: bool = False


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A file or folder of the live system to a path of the target, owned by root, no more open than it is there.

    With `mode` a file gets that one. What is `temporary` is removed as with Write.
    """

    title: str
    source: Path
    path: str
    mode: int = 0
    temporary: bool = False


@dataclass(frozen=True, kw_only=True)
class SameDisk:
    """A look at the disk right before it is written to: it must be the one that the plan was made for, and unused."""

    title: str
    disk: Disk


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Bytes at a place of a device."""

    title: str
    device: str
    offset: int
    content: bytes


@dataclass(frozen=True, kw_only=True)
class BootCode:
    """GRUB for BIOS: boot code before the table of `disk`, the core image into its partition (bytes)."""

    title: str
    disk: str
    boot: Path
    core: Path
    start: int
    size: int


@dataclass(frozen=True, kw_only=True)
class BootEntry:
    """The firmware's boot entry for UEFI, as `photonbuild.disk.efi.load_option` makes it. The disk starts without."""

    title: str
    option: bytes


Step = Command | Folder | Write | Copy | SameDisk | Patch | BootCode | BootEntry


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`preparation` writes nothing to the `disks`; `steps` do. `notes` are what the user should know before."""

    disks: tuple[str, ...]
    notes: tuple[str, ...]
    preparation: tuple[Step, ...]
    steps: tuple[Step, ...]

    @property
    def disk(self) -> str:
        """The disks that are written to, in words."""
        return " and ".join(self.disks)

    @property
    def programs(self) -> tuple[str, ...]:
        """Programs that the live system must have, sorted."""
        commands = [step for step in (*self.preparation, *self.steps) if isinstance(step, Command)]
        argvs = [argv for step in commands for argv in (step.argv, step.undo) if argv]
        return tuple(sorted({argv[0] for argv in argvs}))


def describe(plan: Plan) -> str:
    """The plan in words, with everything that would be run and written but passwords and what URLs may hold of them."""
    lines = [f"note: {note}" for note in plan.notes]
    for title, steps in (("preparation, nothing is written to the disk", plan.preparation), (plan.disk, plan.steps)):
        lines.append(f"{title}:")
        for number, step in enumerate(steps, 1):
            lines.append(f"  {number:2} {step.title}")
            lines += [f"       {line}" for line in _details(step)]
    return redacted("\n".join(lines) + "\n")


def _details(step: Step) -> list[str]:
    match step:
        case Command():
            text = ["(not shown)"] if step.secret else step.input.splitlines()
            return [shlex.join(step.argv), *(f"  | {line}" for line in text)]
        case Folder():
            return [f"{step.path} mode {step.mode:04o}"]
        case Write():
            text = ["(not shown)"] if step.secret else step.text.splitlines()
            return [f"{step.path} mode {step.mode:04o}", *(f"  | {line}" for line in text)]
        case Copy():
            return [f"{step.source} -> {step.path}"]
        case SameDisk():
            return [step.disk.name]
        case Patch():
            return [f"{len(step.content)} bytes at {step.offset} of {step.device}"]
        case BootCode():
            return [f"{step.boot} at 0, {step.core} at {step.start} of {step.disk}"]
        case BootEntry():
            return [f"'{efi.title_of(step.option)}', the first in the firmware's order"]
