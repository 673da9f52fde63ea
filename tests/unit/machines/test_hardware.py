"""Command lines of QEMU, and the number of processors."""

from __future__ import annotations

import base64
import urllib.request
from pathlib import Path

import pytest

from photonbuild.errors import VerifyError
from photonbuild.images.format import Bus
from photonbuild.machines.drive import BootDrive, Drive, boot_drive
from photonbuild.machines.hardware import Hardware, drives_of, qemu_argv, sandbox_for
from photonbuild.machines.netboot import from_network, serve_image


def option(argv: list[str], name: str) -> list[str]:
    return [argv[index + 1] for index, word in enumerate(argv) if word == name]


def test_a_cd_under_bios() -> None:
    argv = qemu_argv(
        Hardware(boot_drive=BootDrive(file=Path("a.iso"), format="raw", bus="cd"), forwards={80: 1080, 22: 1022})
    )
    assert option(argv, "-drive") == ["if=none,id=image,media=cdrom,readonly=on,format=raw,file=/run/machine-image"]
    assert option(argv, "-netdev") == ["user,id=net,hostfwd=tcp:127.0.0.1:1022-:22,hostfwd=tcp:127.0.0.1:1080-:80"]
    assert option(argv, "-accel") == ["tcg,thread=multi"]
    assert "-cpu" not in argv


def test_a_disk_under_uefi() -> None:
    argv = qemu_argv(Hardware(boot_drive=BootDrive(file=Path("a.qcow2"), format="qcow2"), firmware="uefi", accel="kvm"))
    drives = option(argv, "-drive")
    assert [drive.split(",")[0] for drive in drives] == ["if=pflash", "if=pflash", "if=none"]
    assert "readonly=on" in drives[0] and "readonly" not in drives[1]
    assert "snapshot=on,format=qcow2" in drives[2]
    assert option(argv, "-cpu") == ["host"]


def test_devices_of_vmware() -> None:
    argv = qemu_argv(Hardware(boot_drive=BootDrive(file=Path("a.vmdk"), format="vmdk", bus="pvscsi", card="vmxnet3")))
    devices = [device.partition(",")[0] for device in option(argv, "-device")]
    assert devices == ["virtio-rng-pci", "vmxnet3", "pvscsi", "scsi-hd"]
    assert option(argv, "-device")[-1].endswith(",bootindex=0")


@pytest.mark.parametrize(("bus", "controller"), [("usb-ehci", "usb-ehci"), ("usb-xhci", "qemu-xhci")])
def test_a_usb_stick(bus: Bus, controller: str) -> None:
    argv = qemu_argv(Hardware(boot_drive=BootDrive(file=Path("a.iso"), format="raw", bus=bus)))
    assert option(argv, "-device")[-2:] == [
        f"{controller},id=image-bus",
        "usb-storage,drive=image,bus=image-bus.0,removable=on,bootindex=0",
    ]


def test_more_drives() -> None:
    blank = Drive(file=Path("blank.raw"), format="raw", bus="nvme", writable=True)
    disc = BootDrive(file=Path("a.iso"), format="raw", bus="cd")
    hardware = Hardware(boot_drive=disc, drives=[Drive(file=Path("b.iso"), format="raw", bus="cd"), blank])
    argv = qemu_argv(hardware)
    assert [drive.split(",")[1:3] for drive in option(argv, "-drive")] == [
        ["id=image", "media=cdrom"],
        ["id=drive1", "media=cdrom"],
        ["id=drive2", "cache=unsafe"],
    ]
    assert [device for device in option(argv, "-device") if "bootindex" in device] == [
        "ide-cd,drive=image,bus=ide.0,bootindex=0",
        "ide-cd,drive=drive1,bus=ide.1,bootindex=1",
    ]
    assert [bind.readonly for bind in sandbox_for(hardware, Path("/s"), Path("/t"), Path("/f")).binds[1:]] == [
        True,
        True,
        False,
    ]


def test_a_machine_that_lets_in_by_itself_gets_no_credential() -> None:
    argv = qemu_argv(Hardware(ssh_key=Path("key"), smbios=["type=3,asset=here"], network=["net=192.0.2.0/24"]))
    assert option(argv, "-smbios") == ["type=3,asset=here"]
    assert option(argv, "-netdev") == ["user,id=net,net=192.0.2.0/24"]


def test_further_disks_come_after_the_first_and_before_other_drives() -> None:
    one, two, disc = (Drive(file=Path(name), format="raw") for name in ("one", "two", "disc"))
    image = BootDrive(file=Path("image"), format="raw", further=(one, two))
    hardware = Hardware(boot_drive=image, drives=[disc])
    assert [(name, drive.file.name) for name, drive in drives_of(hardware)] == [
        ("image", "image"), ("drive1", "one"), ("drive2", "two"), ("drive3", "disc"),
    ]  # fmt: skip
    devices = [value for value in option(qemu_argv(hardware), "-device") if value.startswith("virtio-blk-pci")]
    assert devices == [f"virtio-blk-pci,drive={name}" for name in ("image,bootindex=0", "drive1", "drive2", "drive3")]


def test_a_restart_ends_a_machine_unless_asked_otherwise() -> None:
    assert "-no-reboot" in qemu_argv(Hardware())
    assert "-no-reboot" not in qemu_argv(Hardware(restarts=True))


def test_the_key_goes_in_as_a_credential() -> None:
    (value,) = option(qemu_argv(Hardware(authorized_key="ssh-ed25519 AAAA me\n")), "-smbios")
    name, _, text = value.removeprefix("type=11,value=").partition("=")
    assert name == "io.systemd.credential.binary:ssh.authorized_keys.root"
    assert base64.b64decode(text) == b"ssh-ed25519 AAAA me\n"


def test_the_console_is_the_terminal_when_interactive() -> None:
    assert option(qemu_argv(Hardware()), "-chardev")[0].startswith("socket,")
    assert option(qemu_argv(Hardware(interactive=True)), "-chardev")[0].startswith("stdio,")


def test_processors_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHOTONBUILD_MACHINE_CPUS", raising=False)
    assert Hardware().cpus == 2
    monkeypatch.setenv("PHOTONBUILD_MACHINE_CPUS", "1")
    assert Hardware().cpus == 1 and Hardware(cpus=4).cpus == 4
    monkeypatch.setenv("PHOTONBUILD_MACHINE_CPUS", "all")
    with pytest.raises(VerifyError, match="'all' is no number of processors"):
        Hardware()


def test_a_machine_starts_from_the_network(tmp_path: Path) -> None:
    started = from_network(Hardware(network=("dns=10.0.2.3",)), "http://10.0.2.2:80/a.ipxe")
    argv = qemu_argv(started)
    assert "user,id=net,dns=10.0.2.3,ipv6=off,bootfile=http://10.0.2.2:80/a.ipxe" in argv
    # With the ROM, which is iPXE; after every disk.
    assert "virtio-net-pci,netdev=net,bootindex=9" in argv
    assert "virtio-net-pci,netdev=net,romfile=" in qemu_argv(Hardware())


def test_with_uefi_ipxe_is_a_program(tmp_path: Path) -> None:
    program = tmp_path / "snponly.efi"
    program.write_bytes(b"MZ")
    folder = tmp_path / "tftp"
    folder.mkdir()
    started = from_network(Hardware(firmware="uefi"), "http://10.0.2.2:80/a.ipxe", program=program, folder=folder)
    assert "user,id=net,ipv6=off,tftp=/run/machine-tftp,bootfile=snponly.efi" in qemu_argv(started)
    assert (folder / "snponly.efi").read_bytes() == b"MZ"
    assert (folder / "autoexec.ipxe").read_text() == "#!ipxe\ndhcp\nchain http://10.0.2.2:80/a.ipxe\n"
    binds = {bind.target: bind.source for bind in sandbox_for(started, tmp_path, tmp_path, tmp_path).binds}
    assert binds["/run/machine-tftp"] == folder
    with pytest.raises(VerifyError, match="UEFI starts no script"):
        from_network(Hardware(firmware="uefi"), "http://10.0.2.2/a.ipxe")


def test_a_netboot_image_is_served_and_is_no_drive(tmp_path: Path) -> None:
    script = tmp_path / "a.ipxe"
    with pytest.raises(VerifyError, match="no such image"), serve_image(script):
        pass
    script.write_text("#!ipxe\n")
    (tmp_path / "a.erofs").write_bytes(b"root")
    with serve_image(script, {"/ks": b"kickstart"}) as served:
        here = served.url.replace("10.0.2.2", "127.0.0.1")
        found = [urllib.request.urlopen(f"{here}{name}").read() for name in ("a.ipxe", "a.erofs", "ks")]
        assert found == [b"#!ipxe\n", b"root", b"kickstart"]
        assert served.asked == ["/a.ipxe", "/a.erofs", "/ks"]
        assert served.chain({"entry": "live"}) == f"#!ipxe\nset entry live\nchain {served.url}a.ipxe\n"
    with pytest.raises(VerifyError, match="started from the network, and is no drive"), boot_drive(script):
        pass
