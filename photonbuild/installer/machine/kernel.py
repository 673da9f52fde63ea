"""What the kernel tells of the machine: /proc, /sys, /dev."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from photonbuild.installer.kickstart.model import BIOS, EFI


@dataclass(frozen=True, kw_only=True)
class Card:
    """A network card: its name, its MAC address, and its place in the order in which the kernel has found them."""

    name: str
    address: str
    index: int = 0


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
    """Mount points by major:minor and by name of their device (proc_pid_mountinfo(5)): btrfs has numbers of its own."""
    found: dict[str, str] = {}
    for line in kernel.text("proc/self/mountinfo").splitlines():
        words, _, rest = line.partition(" - ")
        place, source = words.split(), rest.split()
        if len(place) > 4:
            found.setdefault(place[2], place[4])
            if len(source) > 1 and source[1].startswith("/dev/"):
                found.setdefault(source[1], place[4])
    return found


def firmware(kernel: Kernel) -> str:
    return EFI if (kernel.root / "sys/firmware/efi").exists() else BIOS


def file_systems(kernel: Kernel) -> frozenset[str]:
    """Names that the kernel knows (proc_filesystems(5)), or has a module for."""
    known = {line.split()[-1] for line in kernel.text("proc/filesystems").splitlines() if line.split()}
    folder = kernel.root / "usr/lib/modules" / kernel.text("proc/sys/kernel/osrelease") / "kernel/fs"
    return frozenset(known | {path.stem for path in folder.glob("*/*.ko") if path.stem == path.parent.name})


def cards(kernel: Kernel) -> tuple[Card, ...]:
    """Every card; what has no device behind it is the host's own making."""
    folders = sorted((kernel.root / "sys/class/net").glob("*"))
    return tuple(
        Card(
            name=folder.name,
            address=kernel.text(f"sys/class/net/{folder.name}/address"),
            index=int(kernel.text(f"sys/class/net/{folder.name}/ifindex") or 0),
        )
        for folder in folders
        if (folder / "device").exists()
    )
