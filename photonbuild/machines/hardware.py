"""What a test machine is made of, and the command line of QEMU for it. Pure: nothing is started here.

Options: https://www.qemu.org/docs/master/system/invocation.html
Credentials: https://systemd.io/CREDENTIALS/
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from photonbuild.errors import VerifyError
from photonbuild.images.format import Card
from photonbuild.machines.drive import BootDrive, Drive
from photonbuild.sandbox.sandbox import Bind, Sandbox

Firmware = Literal["bios", "uefi"]
FIRMWARES: tuple[Firmware, ...] = ("bios", "uefi")
# Folder of the machine, and files of its drives, in the sandbox of QEMU.
INSIDE = "/run/machine"
BACKING = f"{INSIDE}-backing"
OVMF = "/usr/share/OVMF"
KVM = Path("/dev/kvm")
TCG = "tcg,thread=multi"
CARDS: dict[Card, str] = {"virtio": "virtio-net-pci", "vmxnet3": "vmxnet3", "e1000": "e1000"}
HOST_SEEN_BY_GUEST = "10.0.2.2"
NAMESERVER_SEEN_BY_GUEST = "10.0.2.3"


def processors() -> int:
    """Of a machine that is given no number of them: $PHOTONBUILD_MACHINE_CPUS, else 2. Raises VerifyError."""
    text = os.environ.get("PHOTONBUILD_MACHINE_CPUS") or "2"
    if not re.fullmatch(r"[1-9][0-9]?", text):
        raise VerifyError(f"'{text}' is no number of processors", where="$PHOTONBUILD_MACHINE_CPUS", hint="1 to 99")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A machine's devices. `forwards`: TCP port of the guest to port of this machine's loopback.

    `drives` come after the `boot_drive` and the further disks of its image. `kernel` (and `initrd`) are booted
    directly, with `append` as command line.
    `ssh_key` is a private key that the guest lets in by itself; without it a one-time key goes in as a credential.
    `smbios` are values of QEMU's option of that name, `network` more options of its user network, `options` further
    words of its command line.
    With `restarts` a restart of the guest does not end the machine. With `netboot` it starts from its card, by what the
    `network` says; `tftp` is a folder that may be named there.
    """

    boot_drive: BootDrive | None = None
    drives: Sequence[Drive] = ()
    firmware: Firmware = "bios"
    accel: str = TCG
    memory: int = 2048
    cpus: int = field(default_factory=processors)
    forwards: Mapping[int, int] = field(default_factory=dict)
    authorized_key: str | None = None
    ssh_key: Path | None = None
    smbios: Sequence[str] = ()
    network: Sequence[str] = ()
    options: Sequence[str] = ()
    restarts: bool = False
    interactive: bool = False
    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""
    netboot: bool = False
    tftp: Path | None = None


def qemu_argv(hardware: Hardware) -> list[str]:
    """The command line inside the sandbox. Pure."""
    argv = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-vga", "std",
        "-machine", "q35", "-accel", hardware.accel, "-smp", str(hardware.cpus), "-m", str(hardware.memory),
        "-rtc", "base=utc", "-device", "virtio-rng-pci",
        "-qmp", f"unix:{INSIDE}/qmp.sock,server=on,wait=off",
    ]  # fmt: skip
    if not hardware.restarts:
        argv += ["-no-reboot"]
    if hardware.accel == "kvm":
        argv += ["-cpu", "host"]
    if hardware.interactive:
        log = f"logfile={INSIDE}/console.log"
        argv += ["-chardev", f"stdio,id=console,mux=on,signal=off,{log}", "-mon", "console"]
    else:
        socket = f"socket,id=console,path={INSIDE}/console.sock,server=on,wait=off"
        argv += ["-chardev", f"{socket},logfile={INSIDE}/console.log"]
    argv += ["-serial", "chardev:console"]
    forwards = [f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in sorted(hardware.forwards.items())]
    argv += ["-netdev", ",".join(["user,id=net", *hardware.network, *forwards])]
    card = CARDS[hardware.boot_drive.card if hardware.boot_drive else "virtio"]
    # After the disks, as machines are set that are installed over the network.
    start = "bootindex=9" if hardware.netboot else "romfile="
    argv += ["-device", f"{card},netdev=net,{start}", *hardware.options]
    if hardware.firmware == "uefi":
        argv += [
            "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd",
            "-drive", f"if=pflash,unit=1,format=raw,file={INSIDE}/vars.fd",
        ]  # fmt: skip
    if hardware.authorized_key is not None:
        text = base64.b64encode(hardware.authorized_key.encode()).decode()
        argv += ["-smbios", f"type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={text}"]
    for value in hardware.smbios:
        argv += ["-smbios", value]
    if hardware.kernel is not None:
        argv += ["-kernel", f"{INSIDE}-kernel", "-append", hardware.append]
    if hardware.initrd is not None:
        argv += ["-initrd", f"{INSIDE}-initrd"]
    return argv + [
        word for name, drive in drives_of(hardware) for word in _drive(name, drive, boot=hardware.kernel is None)
    ]


def drives_of(hardware: Hardware) -> list[tuple[str, Drive]]:
    """The drives by the names that QEMU has for them, what is booted first."""
    drives: list[tuple[str, Drive]] = [("image", hardware.boot_drive)] if hardware.boot_drive is not None else []
    more = [*(hardware.boot_drive.further if hardware.boot_drive is not None else ()), *hardware.drives]
    return [*drives, *((f"drive{number}", drive) for number, drive in enumerate(more, 1))]


def _drive(name: str, drive: Drive, *, boot: bool) -> list[str]:
    kind = (
        "media=cdrom,readonly=on" if drive.bus == "cd" else f"cache={drive.cache}" if drive.writable else "snapshot=on"
    )
    argv = ["-drive", f"if=none,id={name},{kind},format={drive.format},file={INSIDE}-{name}"]
    *before, last = _devices(name, drive.bus)
    # UEFI starts nothing that is not in this order: a CD comes after the image, where that is a blank disk.
    order = f",bootindex={_position(name)}" if boot and (name == "image" or drive.bus == "cd") else ""
    for device in (*before, f"{last}{order}"):
        argv += ["-device", device]
    return argv


def _position(name: str) -> int:
    """0 for the image, then 1, 2 …"""
    return 0 if name == "image" else int(name.removeprefix("drive"))


def _devices(name: str, bus: str) -> list[str]:
    """A drive and, where it needs one, its controller. QEMU's q35 has six SATA ports: the image's is the first."""
    port = f"ide.{_position(name)}"
    return {
        "cd": [f"ide-cd,drive={name},bus={port}"],
        "virtio": [f"virtio-blk-pci,drive={name}"],
        "pvscsi": [f"pvscsi,id={name}-bus", f"scsi-hd,drive={name},bus={name}-bus.0"],
        "scsi": [f"virtio-scsi-pci,id={name}-bus", f"scsi-hd,drive={name},bus={name}-bus.0"],
        "nvme": [f"nvme,drive={name},serial={name}"],
        "sata": [f"ide-hd,drive={name},bus={port}"],
        "usb-ehci": [f"usb-ehci,id={name}-bus", f"usb-storage,drive={name},bus={name}-bus.0,removable=on"],
        "usb-xhci": [f"qemu-xhci,id={name}-bus", f"usb-storage,drive={name},bus={name}-bus.0,removable=on"],
    }[bus]


def sandbox_for(hardware: Hardware, seed: Path, scratch: Path, folder: Path) -> Sandbox:
    """The sandbox in which `qemu_argv` runs. It shares the host's network, for the forwarded ports."""
    binds = [Bind(source=folder, target=INSIDE, readonly=False)]
    for name, drive in drives_of(hardware):
        binds.append(Bind(source=drive.file.resolve(), target=f"{INSIDE}-{name}", readonly=not drive.writable))
        if drive.backing is not None:
            binds.append(Bind(source=drive.backing.resolve(), target=BACKING))
    for name in ("kernel", "initrd", "tftp"):
        file: Path | None = getattr(hardware, name)
        if file is not None:
            binds.append(Bind(source=file.resolve(), target=f"{INSIDE}-{name}"))
    if hardware.accel == "kvm":
        binds.append(Bind(source=KVM, target=str(KVM), readonly=False))
    return Sandbox(layers=[seed], scratch=scratch, binds=binds, network=True, hostname="machine")
