"""What this host runs machines with: kernel, agent, QEMU and settings, found out once and then read from one file.

Finding out reads the configuration, which takes half a second; the result is kept in the store under a digest of name,
size and time of every file that it came from.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.files import read_json, sha256_of, write_json
from photonbuild.keys import key_of
from pico.builder import Builder
from pico.errors import PicoError
from pico.vm import qemu
from pico.vm.qemu import EXPECTED, VOLUMES, Hardware

FORMAT = 4
KVM = "/dev/kvm"
# What `photonbuild image pico` makes, by its suffixes.
BOOT_FILES = {
    "kernel": "vmlinux",
    "initrd": "initrd",
    "preload": "zygote.so",
    "rehearsal": "rehearsal",
    "network": "net",
}


@dataclass(frozen=True, kw_only=True)
class Host:
    """What every machine of this host has. Sizes in MiB, but `disk` in bytes.

    `inputs` is what a template is made of, but for the size of its machine.
    """

    folder: Path
    seed: Path
    kernel: Path
    initrd: Path
    preload: Path
    rehearsal: Path
    network: Path
    inputs: Mapping[str, Any]
    accel: str
    machine: str
    cpu: str
    append: str
    memory: int
    cpus: int
    disk: int
    spares: int
    uid: int
    timeout: int

    def hardware(self, *, memory: int | None = None, cpus: int | None = None, volumes: int = 0) -> Hardware:
        """The machine that asks for this much. `volumes`: how many are used; devices come by none or all."""
        return Hardware(
            memory=memory or self.memory,
            cpus=cpus or self.cpus,
            volumes=VOLUMES if volumes else 0,
            accel=self.accel,
            machine=self.machine,
            cpu=self.cpu,
            append=self.append,
        )

    @property
    def digest(self) -> str:
        """The name of the inputs."""
        return key_of(self.inputs)


def find_host(builder: Builder, folder: Path, kernel: Path | None) -> Host:
    """The host's facts, from `folder` or found out now. Raises PicoError, ConfigError."""
    try:
        return _from_json(read_json(folder / f"host-{_stamp(builder.root, kernel)}.json"))
    except (OSError, ValueError, TypeError, KeyError):
        return examine(builder, folder, kernel)


def _inputs(root: Path, kernel: Path | None) -> list[Path]:
    build = root / "build"
    fixed = [build / name for name in ("pico.yaml", "seed.yaml", "machine.lock", "distribution.yaml")]
    boot = [*_beside(kernel).values()] if kernel else sorted((root / "stage/images").glob("*pico*"))
    return [*fixed, build / "images/pico.yaml", *boot, Path(__file__), Path(qemu.__file__), Path(KVM)]


def _stamp(root: Path, kernel: Path | None) -> str:
    """Digest of name, size and time of what the facts come from, so that any change of them is seen."""
    lines = [f"{FORMAT} {root} {os.geteuid()}"]
    for path in _inputs(root, kernel):
        try:
            found = path.stat()
            lines.append(f"{path} {found.st_size} {found.st_mtime_ns if path.is_file() else 0} {found.st_ino}")
        except FileNotFoundError:
            lines.append(f"{path} -")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def examine(builder: Builder, folder: Path, kernel: Path | None) -> Host:
    """Find the facts out and keep them."""
    settings = builder.settings
    stamp = _stamp(builder.root, kernel)
    files = boot_files(kernel or builder.kernel)
    seed, seed_digest = builder.machine_seed, builder.machine_seed_digest
    kvm = builder.has_kvm()
    accel = "kvm" if kvm else f"tcg,tb-size={settings.translation_cache >> 20}"
    append = " ".join((*settings.kernel_args, *EXPECTED))
    cpu = "host" if kvm else settings.cpu
    host = Host(
        folder=folder,
        seed=seed,
        **files,
        inputs={
            "format": FORMAT,
            "files": {name: sha256_of(path) for name, path in files.items()},
            "seed": seed_digest,
            "accel": accel,
            "machine": settings.machine,
            "cpu": cpu,
            "kernel_args": append,
            "disk": settings.disk,
            "processor": _processor() if kvm else None,
            "devices": sha256_of(Path(qemu.__file__)),
        },
        accel=accel,
        machine=settings.machine,
        cpu=cpu,
        append=append,
        memory=settings.memory >> 20,
        cpus=settings.cpus,
        disk=settings.disk,
        spares=settings.spares,
        uid=settings.uid,
        timeout=settings.timeout,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("host-*.json"):
        old.unlink(missing_ok=True)
    write_json(folder / f"host-{stamp}.json", _to_json(host))
    return host


def boot_files(kernel: Path) -> dict[str, Path]:
    """The files of BOOT_FILES, as ``make pico`` makes them. Raises PicoError."""
    found = _beside(kernel)
    for path in found.values():
        if not path.is_file():
            raise PicoError("there is no kernel for pico machines", where=str(path), hint="make pico")
    return found


def _beside(kernel: Path) -> dict[str, Path]:
    """They lie beside the kernel."""
    return {
        name: kernel if name == "kernel" else kernel.with_suffix(f".{suffix}") for name, suffix in BOOT_FILES.items()
    }


def _processor() -> str:
    """The processor that KVM shows to guests: their state fits no other."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    wanted = ("vendor_id", "cpu family", "model\t", "stepping", "flags")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def _to_json(host: Host) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in dataclasses.asdict(host).items()}


def _from_json(known: dict[str, Any]) -> Host:
    paths = {key: Path(known[key]) for key in ("folder", "seed", *BOOT_FILES)}
    host = Host(**{**known, **paths})
    if not (
        host.seed.is_dir() and all(known_path.is_file() for name, known_path in paths.items() if name in BOOT_FILES)
    ):
        raise KeyError("gone")
    return host


def template_inputs(host: Host, hardware: Hardware) -> dict[str, Any]:
    """All that a template for such a machine is made of; its name is their key."""
    sizes = {"memory": hardware.memory, "cpus": hardware.cpus, "volumes": hardware.volumes}
    return {**host.inputs, **sizes}
