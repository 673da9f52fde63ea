"""What the kernel tells of the machine: /proc, /sys, /dev."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from photonbuild.installer.kickstart.model import BIOS, EFI
from photonbuild.installer.machine.facts import Card


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Where the kernel tells of itself and has its devices; tests put a tree of their own there."""

    root: Path = Path("/")

    def text(self, path: str) -> str:
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def device(self, name: str) -> str:
        """/dev/NAME."""
        return str(self.root / "dev" / name)


def mounts(kernel: Kernel) -> dict[str, str]:
    """Mount points by major:minor of their device (proc_pid_mountinfo(5))."""
    found: dict[str, str] = {}
    for line in kernel.text("proc/self/mountinfo").splitlines():
        words = line.split()
        if len(words) > 4:
            found.setdefault(words[2], words[4])
    return found


def firmware(kernel: Kernel) -> str:
    return EFI if (kernel.root / "sys/firmware/efi").exists() else BIOS


def file_systems(kernel: Kernel) -> frozenset[str]:
    """Names that the kernel knows (proc_filesystems(5))."""
    return frozenset(line.split()[-1] for line in kernel.text("proc/filesystems").splitlines() if line.split())


def cards(kernel: Kernel) -> tuple[Card, ...]:
    """Every card; what has no device behind it is the host's own making."""
    folders = sorted((kernel.root / "sys/class/net").glob("*"))
    return tuple(
        Card(name=folder.name, address=kernel.text(f"sys/class/net/{folder.name}/address"))
        for folder in folders
        if (folder / "device").exists()
    )
