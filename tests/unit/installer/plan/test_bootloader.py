"""GRUB's menu and images, with /boot and the root where they may be."""

from __future__ import annotations

from pathlib import Path

from photonbuild.disk.grub import environment_block
from photonbuild.installer.plan.bootloader import kernel_arguments
from photonbuild.installer.plan.make import make_plan
from photonbuild.installer.plan.steps import BootCode, Command, Copy, Write
from tests.support.installer import LVM_ROOT, MIB, commands, facts, kickstart, table, written


def test_boot_loaders() -> None:
    plan = make_plan(kickstart(), facts())
    menu = written(plan)["/boot/grub/grub.cfg"]
    root = table(plan)[2]["uuid"].lower()
    assert f"root=PARTUUID={root} ro rootwait panic=10 console=ttyS0,115200 quiet $3\n" in menu
    assert "initramfs" not in menu and "search" not in menu
    assert written(plan)["/boot/grub/grubenv"] == environment_block()
    code = next(step for step in plan.steps if isinstance(step, BootCode))
    assert (code.disk, code.start, code.size) == ("/dev/sda", MIB, MIB)
    assert [step.path for step in plan.steps if isinstance(step, Copy)] == ["/boot/efi/EFI/BOOT/BOOTX64.EFI"]
    efi = make_plan(kickstart(bootmode="efi"), facts(firmware="efi"))
    assert not any(isinstance(step, BootCode) for step in efi.steps)
    assert not efi.notes or "UEFI" not in efi.notes[0]
    assert "will start by UEFI only" in make_plan(kickstart(bootmode="efi"), facts()).notes[0]


def test_a_boot_partition_has_the_menu_and_the_root_the_kernels() -> None:
    plan = make_plan(
        kickstart(partitions=[{"mountpoint": "/", "size": 0}, {"mountpoint": "/boot", "size": 64}]), facts()
    )
    ids = {line.split()[1]: line.split()[0].removeprefix("UUID=") for line in written(plan)["/etc/fstab"].splitlines()}
    first = next(step.text for step in plan.preparation if isinstance(step, Write))
    assert first.splitlines()[0] == f"search --no-floppy --set=root --fs-uuid {ids['/boot']}"
    assert first.splitlines()[1] == "set prefix=($root)/grub"
    assert f"search --no-floppy --set=root --fs-uuid {ids['/']}\n" in written(plan)["/boot/grub/grub.cfg"]


def test_a_root_on_lvm() -> None:
    plan = make_plan(kickstart(partitions=[LVM_ROOT]), facts(has_initramfs=True))
    lvm = [line for line in commands(plan) if line.split()[0] in ("pvcreate", "vgcreate", "lvcreate")]
    assert lvm == [
        "pvcreate --force --yes /dev/sda3",
        "vgcreate --yes --physicalextentsize=4m sys-1 /dev/sda3",
        "lvcreate --yes --wipesignatures=y --name=root --extents=100%FREE sys-1",
    ]
    menu = written(plan)["/boot/grub/grub.cfg"]
    identity = written(plan)["/etc/fstab"].partition(" ")[0]
    assert f"root={identity} ro rootwait panic=10 rd.lvm.lv=sys-1/root " in menu
    assert "initrd /usr/lib/initramfs.img" in menu
    assert (
        Copy(
            title="copy the initramfs",
            source=Path("/usr/lib/installer/initramfs.img"),
            path="/usr/lib/initramfs.img",
        )
        in plan.steps
    )
    assert all("lvm" in step.argv for step in plan.preparation if isinstance(step, Command))
    undo = [" ".join(step.undo) for step in plan.steps if isinstance(step, Command) and step.undo]
    assert undo[0] == "vgchange --activate=n sys-1", "volumes are let go after everything is unmounted"


def test_what_is_kept_of_the_kernel_command_line() -> None:
    line = "BOOT_IMAGE=x root=live:LABEL=y ro ks=https://h/k installer installer.poweroff live.size=1G rd.debug "
    line += "ip=192.0.2.7::192.0.2.1:255.255.255.0::eth0:none nameserver=192.0.2.53 BOOTIF=01-02 bond=b vlan=v:e "
    line += "systemd.unit=installer.target insecure_installation=1 console=tty0 no_timer_check quiet a=$b -- 3"
    assert kernel_arguments(line) == ["console=tty0", "no_timer_check", "quiet"]
