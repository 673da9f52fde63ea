"""The command line of a machine's QEMU, as a pure function. Devices are always the same, in the same order.

Sockets and files are open descriptors that QEMU inherits, so nothing in its root is writable but volumes.
https://www.qemu.org/docs/master/system/i386/microvm.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

BINARY = "/usr/bin/qemu-system-x86_64"
TEMPLATE = "/run/template"
KERNEL, INITRD, PRELOAD = "/run/kernel", "/run/initrd", "/run/zygote.so"
PORTS = 4
VOLUMES = 4
DISK = "disk"
# What the machine's network gives to its guest, see src/pico-net.
ADDRESS, GATEWAY, NAMESERVER = "10.0.2.15/24", "10.0.2.2", "10.0.2.3"
# With these the agent has the network card up before the template is frozen.
EXPECTED = (f"pico.address={ADDRESS}", f"pico.gateway={GATEWAY}")
# How QEMU comes to its memory: booted to be frozen as a template, a clone of one, booted to run, a clone to be copied.
Mode = Literal["template", "clone", "cold", "zygote"]


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What the guest sees, and so what a template and its clones have in common. `memory` in MiB."""

    memory: int
    cpus: int
    volumes: int
    accel: str
    machine: str
    cpu: str
    append: str

    @property
    def copied(self) -> bool:
        """Are machines copies of a zygote? Not with KVM, whose machines belong to a process, nor with volumes."""
        return self.accel.startswith("tcg") and not self.volumes


@dataclass(frozen=True, kw_only=True)
class Descriptors:
    """Open files of the caller that QEMU inherits: listening sockets, the logs to append to, the image, /dev/kvm."""

    qmp: int
    ports: Sequence[int]
    net: int
    log: int
    console: int
    image: int
    kvm: int | None = None

    def all(self) -> list[int]:
        found = [self.qmp, *self.ports, self.net, self.log, self.console, self.image]
        return found if self.kvm is None else [*found, self.kvm]


def qemu_argv(
    hardware: Hardware, fds: Descriptors, *, mode: Mode, network: bool, readonly: Sequence[bool]
) -> list[str]:
    """`readonly`: for each volume, of which there are at most `hardware.volumes`, whether it may not be written."""
    argv = [
        BINARY, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", f"{hardware.machine},memory-backend=ram,dump-guest-core=off,mem-merge=off",
        *_accel(hardware, fds), "-cpu", hardware.cpu, "-smp", str(hardware.cpus), "-m", f"{hardware.memory}M",
        "-object", _memory(hardware, mode),
    ]  # fmt: skip
    if mode != "zygote":  # its copies have a filter of their own
        argv += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    argv += _serial(fds)
    argv += _disk(fds)
    # The kernel's generator: one of QEMU's own would be the same in every copy.
    argv += ["-object", "rng-random,id=entropy,filename=/dev/urandom", "-device", "virtio-rng-device,rng=entropy"]
    argv += _card(network, fds)
    for number in range(hardware.volumes):
        given = number < len(readonly)
        option = ",readonly=on" if not given or readonly[number] else ""
        path = f"/run/volume{number}" if given else "/dev"
        argv += [
            "-fsdev", f"local,id=volume{number},path={path},security_model=none,multidevs=remap{option}",
            "-device", f"virtio-9p-device,fsdev=volume{number},mount_tag=volume{number}",
        ]  # fmt: skip
    if mode in ("clone", "zygote"):
        return [*argv, "-incoming", "defer"]
    return [*argv, "-kernel", KERNEL, "-initrd", INITRD, "-append", hardware.append]


def _accel(hardware: Hardware, fds: Descriptors) -> list[str]:
    """/dev/kvm as it was opened by whoever started QEMU, which itself may not."""
    if fds.kvm is None:
        return ["-accel", hardware.accel]
    return ["-add-fd", f"fd={fds.kvm},set=4", "-accel", f"{hardware.accel},device=/dev/fdset/4"]


def _memory(hardware: Hardware, mode: Mode) -> str:
    """The guest's memory; of a clone a private copy-on-write mapping of a file that is opened for reading only."""
    size = f"id=ram,size={hardware.memory}M"
    if mode == "cold":
        return f"memory-backend-ram,{size}"
    sharing = "share=on" if mode == "template" else "share=off,readonly=on,rom=off"
    return f"memory-backend-file,{size},mem-path={TEMPLATE}/ram,{sharing}"


def _serial(fds: Descriptors) -> list[str]:
    argv = ["-chardev", f"socket,id=qmp,fd={fds.qmp},server=on,wait=off", "-mon", "chardev=qmp,mode=control"]
    argv += ["-add-fd", f"fd={fds.log},set=1", "-add-fd", f"fd={fds.console},set=2"]
    argv += ["-chardev", "file,id=log,path=/dev/fdset/1,append=on"]
    argv += ["-chardev", "file,id=console,path=/dev/fdset/2,append=on"]
    argv += ["-device", f"virtio-serial-device,max_ports={PORTS + 3}"]
    argv += ["-device", "virtconsole,chardev=console"]
    for number, fd in enumerate(fds.ports):
        argv += ["-chardev", f"socket,id=port{number},fd={fd},server=on,wait=off"]
        argv += ["-device", f"virtserialport,chardev=port{number},name=photonbuild.{number}"]
    return [*argv, "-device", "virtserialport,chardev=log,name=photonbuild.log"]


def _disk(fds: Descriptors) -> list[str]:
    """The root disk. The file's node has a name of its own: a waiting machine is given another one."""
    return [
        "-add-fd", f"fd={fds.image},set=3",
        "-blockdev", "driver=file,node-name=file0,filename=/dev/fdset/3,read-only=on,locking=off",
        "-blockdev", f"driver=raw,node-name={DISK},file=file0,read-only=on",
        "-device", f"virtio-blk-device,drive={DISK}",
    ]  # fmt: skip


def _card(network: bool, fds: Descriptors) -> list[str]:
    """A network card, plugged into nothing in the template: what it is plugged into is no part of the state.

    Else it waits for a connection that carries its frames, see `network`: QEMU itself has no network.

    A clone is not told to announce itself: nobody is there to hear it, and a driver that does so while the card is
    taken down waits for itself for ever (Linux 6.12: that work takes the lock which ``virtnet_close`` holds).
    """
    device = "virtio-net-device,guest_announce=off"
    if not network:
        return ["-device", device]
    netdev = f"stream,id=net,server=on,addr.type=fd,addr.str={fds.net}"
    return ["-netdev", netdev, "-device", f"{device},netdev=net"]
