"""Command lines of QEMU and ssh, the name server's messages, and how a report is made of test results."""

from __future__ import annotations

import base64
import struct
import tarfile
import urllib.request
from pathlib import Path

import pytest

from photonbuild.config.models import Runtime
from photonbuild.errors import VerifyError
from photonbuild.machines import testnet as outside
from photonbuild.machines import verify
from photonbuild.machines.clouds import platform_bus
from photonbuild.machines.drive import Drive, Medium, medium
from photonbuild.machines.qemu import Hardware, qemu_argv, sandbox_for, ssh_config


def option(argv: list[str], name: str) -> list[str]:
    return [argv[index + 1] for index, word in enumerate(argv) if word == name]


def test_a_cd_under_bios() -> None:
    argv = qemu_argv(Hardware(medium=Medium(file=Path("a.iso"), format="raw", bus="cd"), forwards={80: 1080, 22: 1022}))
    assert option(argv, "-drive") == ["if=none,id=image,media=cdrom,readonly=on,format=raw,file=/run/machine-image"]
    assert option(argv, "-netdev") == ["user,id=net,hostfwd=tcp:127.0.0.1:1022-:22,hostfwd=tcp:127.0.0.1:1080-:80"]
    assert option(argv, "-accel") == ["tcg,thread=multi"]
    assert "-cpu" not in argv


def test_a_disk_under_uefi() -> None:
    argv = qemu_argv(Hardware(medium=Medium(file=Path("a.qcow2"), format="qcow2"), firmware="uefi", accel="kvm"))
    drives = option(argv, "-drive")
    assert [drive.split(",")[0] for drive in drives] == ["if=pflash", "if=pflash", "if=none"]
    assert "readonly=on" in drives[0] and "readonly" not in drives[1]
    assert "snapshot=on,format=qcow2" in drives[2]
    assert option(argv, "-cpu") == ["host"]


def test_devices_of_vmware() -> None:
    argv = qemu_argv(Hardware(medium=Medium(file=Path("a.vmdk"), format="vmdk", bus="pvscsi", card="vmxnet3")))
    devices = [device.partition(",")[0] for device in option(argv, "-device")]
    assert devices == ["virtio-rng-pci", "vmxnet3", "pvscsi", "scsi-hd"]
    assert option(argv, "-device")[-1].endswith(",bootindex=0")


@pytest.mark.parametrize(
    ("name", "as_disk", "kind", "bus"),
    [("a.iso", False, "raw", "cd"), ("a.iso", True, "raw", "virtio"), ("a.vhd", False, "vpc", "sata"),
     ("a.qcow2", False, "qcow2", "virtio"), ("a.raw", False, "raw", "virtio")],
)  # fmt: skip
def test_the_name_tells_the_medium(tmp_path: Path, name: str, as_disk: bool, kind: str, bus: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with medium(tmp_path / name, as_disk=as_disk) as plugged:
        assert (plugged.format, plugged.bus) == (kind, bus)


@pytest.mark.parametrize(
    ("platform", "firmware", "name", "bus"),
    [("ec2", "bios", "a.raw", "nvme"), ("gce", "uefi", "a.raw", "scsi"), ("ovf", "bios", "a.vmdk", "pvscsi"),
     ("ovf", "uefi", "a.vmdk", "sata"), (None, "uefi", "a.raw", "virtio")],
)  # fmt: skip
def test_the_platform_and_the_firmware_tell_the_bus(
    tmp_path: Path, platform: str | None, firmware: str, name: str, bus: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    with medium(tmp_path / name, bus=platform_bus(platform), firmware=firmware) as plugged:
        assert plugged.bus == bus


@pytest.mark.parametrize(("name", "inside", "kind"), [("a.ova", "d.vmdk", "vmdk"), ("a.tar.gz", "disk.raw", "raw")])
def test_the_disk_is_taken_out_of_an_archive(tmp_path: Path, name: str, inside: str, kind: str) -> None:
    (tmp_path / inside).write_bytes(b"disk")
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        archive.add(tmp_path / inside, inside)
    with medium(tmp_path / name) as plugged:
        assert plugged.format == kind and plugged.file.read_bytes() == b"disk"
    assert not plugged.file.exists()


def test_an_archive_without_a_disk(tmp_path: Path) -> None:
    (tmp_path / "a.ova").write_bytes(b"x" * 2048)
    with pytest.raises(VerifyError, match="cannot be read"), medium(tmp_path / "a.ova"):
        pass


def test_more_drives() -> None:
    blank = Drive(file=Path("blank.raw"), format="raw", bus="nvme", writable=True)
    medium = Medium(file=Path("a.iso"), format="raw", bus="cd")
    hardware = Hardware(medium=medium, drives=[Drive(file=Path("b.iso"), format="raw", bus="cd"), blank])
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
    argv = qemu_argv(Hardware(login=Path("key"), smbios=["type=3,asset=here"], network=["net=192.0.2.0/24"]))
    assert option(argv, "-smbios") == ["type=3,asset=here"]
    assert option(argv, "-netdev") == ["user,id=net,net=192.0.2.0/24"]


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


def test_ssh_config_trusts_only_the_one_time_key() -> None:
    text = ssh_config(Path("/f"), 1022, Path("/f/key"))
    assert "Port 1022" in text and "IdentityFile /f/key" in text and "IdentitiesOnly yes" in text


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match="no such image"), medium(tmp_path / "no.iso"):
        pass


def query(name: str, kind: int = 1) -> bytes:
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack(">HH", kind, 1)


def test_name_server_answers() -> None:
    reply = outside.answer(query("Web.Outside.test"))
    assert reply is not None
    assert struct.unpack(">HHHHHH", reply[:12]) == (7, 0x8580, 1, 1, 0, 0)
    assert reply[-4:] == bytes([10, 0, 2, 2])


def test_name_server_knows_nothing_else() -> None:
    other, ipv6 = outside.answer(query("example.test")), outside.answer(query(outside.WEB, 28))
    assert other is not None and other[3] & 15 == 3
    assert ipv6 is not None and (ipv6[3] & 15, ipv6[7]) == (0, 0)


@pytest.mark.parametrize("noise", [b"", b"x" * 40, query("a.b")[:14], b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x3f" * 20])
def test_name_server_ignores_noise(noise: bytes) -> None:
    assert outside.answer(noise) is None


def test_web_server_gives_the_token() -> None:
    with outside.outside() as world, urllib.request.urlopen(f"http://127.0.0.1:{world.http_port}/") as reply:
        assert reply.read().decode().strip() == world.token


JUNIT = """<testsuites><testsuite>
<testcase classname="checks.test_system" name="test_no_failed_unit" time="0.5"/>
<testcase classname="checks.test_docker" name="test_logs" time="1.5">
<failure message="assert 1 == 2">at line 3</failure></testcase></testsuite></testsuites>"""


def test_report() -> None:
    checks = verify.parse_junit(JUNIT)
    assert [(check.name, check.outcome) for check in checks] == [
        ("system: no failed unit", "passed"),
        ("docker: logs", "failed"),
    ]
    boot = verify.Boot(
        firmware="bios", accel="tcg,thread=multi", stages={"ssh": 10.04}, memory_used=200 << 20, checks=checks
    )
    report = verify.Report(image=Path("a.iso"), boots=[boot])
    assert verify.stage_table(report) == [
        ("stage", "bios (tcg)"),
        ("ssh", "10.0 s"),
        ("memory in use", "200 MiB"),
        ("checks passed", "1 of 2"),
    ]
    with pytest.raises(VerifyError) as caught:
        verify.require(report)
    assert caught.value.detail == "bios: docker: logs: assert 1 == 2\nat line 3"
    assert caught.value.exit_code == 9


def test_the_checks_of_a_machine() -> None:
    first, second = (Runtime(name=name, package=name, unit=f"{name}.service", check=f"{name}-check") for name in "ab")
    assert verify.check_names([first, second], [first, second]) == ["system", "a-check", "b-check", "side_by_side"]
    assert verify.check_names([second], [first, second]) == ["system", "b-check"]
    assert verify.check_names([first], [first]) == ["system", "a-check"]
    assert verify.check_names([], []) == ["system"]


def test_processors_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHOTONBUILD_MACHINE_CPUS", raising=False)
    assert Hardware().cpus == 2
    monkeypatch.setenv("PHOTONBUILD_MACHINE_CPUS", "1")
    assert Hardware().cpus == 1 and Hardware(cpus=4).cpus == 4
    monkeypatch.setenv("PHOTONBUILD_MACHINE_CPUS", "all")
    with pytest.raises(VerifyError, match="'all' is no number of processors"):
        Hardware()
