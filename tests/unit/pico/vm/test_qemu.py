"""QEMU's command line."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from pico.vm.qemu import Descriptors, Hardware, qemu_argv

HARDWARE = Hardware(
    memory=64, cpus=1, volumes=0, accel="tcg", machine="microvm", cpu="qemu64", append="console=hvc0 quiet"
)


FDS = Descriptors(qmp=10, ports=[11, 12, 13, 14], net=18, log=15, console=16, image=17)


def argv(mode: str, *, volumes: int = 0, network: bool = True, readonly: tuple[bool, ...] = ()) -> str:
    hardware = replace(HARDWARE, volumes=volumes)
    return " ".join(qemu_argv(hardware, FDS, mode=mode, network=network, readonly=readonly))  # type: ignore[arg-type]


def test_a_clone_cannot_write_template_or_image() -> None:
    line = argv("clone")
    assert "mem-path=/run/template/ram,share=off,readonly=on,rom=off" in line
    assert "filename=/dev/fdset/3,read-only=on" in line
    assert "driver=raw,node-name=disk,file=file0,read-only=on" in line
    assert line.endswith("-incoming defer")
    assert "-kernel" not in line


def test_template_and_clone_have_the_same_devices() -> None:
    def devices(line: str) -> list[str]:
        words = line.split()
        found = [after for before, after in pairwise(words) if before == "-device"]
        return [device.replace(",netdev=net", "") for device in found]

    assert all("guest_announce=off" in line for line in (argv("template", network=False), argv("clone")))
    assert devices(argv("template", network=False, volumes=4)) == devices(argv("clone", volumes=4, readonly=(True,)))


def test_only_volumes_that_are_given_can_be_written() -> None:
    line = argv("clone", volumes=4, readonly=(False, True))
    assert "id=volume0,path=/run/volume0,security_model=none,multidevs=remap -device" in line
    assert line.count("readonly=on -device") == 3


def test_qemu_is_confined() -> None:
    for mode in ("template", "clone", "cold"):
        words = argv(mode).split()
        sandbox = words[words.index("-sandbox") + 1]
        assert sandbox == "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


def test_a_zygote_is_a_clone_that_leaves_the_filter_to_its_copies() -> None:
    words = argv("clone").split()
    at = words.index("-sandbox")
    assert argv("zygote").split() == words[:at] + words[at + 2 :]


@pytest.mark.parametrize(
    ("accel", "volumes", "copied"), [("tcg,tb-size=32", 0, True), ("tcg", 4, False), ("kvm", 0, False)]
)
def test_who_is_copied(accel: str, volumes: int, copied: bool) -> None:
    assert replace(HARDWARE, accel=accel, volumes=volumes).copied is copied


def test_a_network_only_when_asked() -> None:
    assert "-netdev" not in argv("clone", network=False)
    assert "-netdev stream,id=net,server=on,addr.type=fd,addr.str=18" in argv("clone")
    assert "user,id" not in argv("clone"), "QEMU's own user network reaches this host's loopback"


def test_kvm_is_opened_by_whoever_starts_qemu() -> None:
    hardware = replace(HARDWARE, accel="kvm")
    line = " ".join(qemu_argv(hardware, replace(FDS, kvm=19), mode="clone", network=True, readonly=()))
    assert "-add-fd fd=19,set=4 -accel kvm,device=/dev/fdset/4" in line
    assert 19 in replace(FDS, kvm=19).all()
