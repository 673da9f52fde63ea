"""The netboot image, started by iPXE over HTTP: the live system, and an installation by a kickstart that is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.machines.drive import BootDrive
from photonbuild.machines.hardware import FIRMWARES, Firmware
from photonbuild.store import Store
from tests.support.installs import InstallLab, finished
from tests.support.netboots import START, ipxe_program, netbooted, plain
from tests.support.published import image_of, wait_for_boot

pytestmark = pytest.mark.matrix
TIMEOUT = 1800.0  # an emulated machine fetches 3 MB a second, less where others compute


@pytest.fixture(scope="module")
def script(configuration: Config) -> Path:
    """PHOTONBUILD_NETBOOT, else the script of this checkout."""
    named = os.environ.get("PHOTONBUILD_NETBOOT")
    return Path(named) if named else image_of(configuration, "netboot")


@pytest.fixture
def program(configuration: Config, store: Store, tmp_path: Path) -> Path:
    return ipxe_program(configuration, store, tmp_path / "ipxe")


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_the_live_system_starts(
    firmware: Firmware, script: Path, program: Path, store: Store, machine_seed: Path
) -> None:
    hardware = plain(store, machine_seed, firmware=firmware)
    settings = {"entry": "live", "args": "systemd.hostname=bynet"}
    with netbooted(hardware, script, store, machine_seed, settings=settings, program=program) as (machine, _, served):
        machine.wait_for_ssh(TIMEOUT)
        state = machine.ssh("systemctl is-system-running --wait", check=False).stdout.strip()
        assert state == "running", machine.ssh("systemctl --failed --no-legend").stdout
        assert machine.ssh("hostname").stdout.strip() == "bynet"
        # The kernel and its initramfs by iPXE, the root by curl; the installer only where it is asked for.
        files = [
            f"/{script.name.removesuffix('.ipxe')}{suffix}" for suffix in (".ipxe", ".vmlinuz", ".initrd", ".erofs")
        ]
        assert served.asked == [START, *files]
        assert machine.ssh("findmnt -no FSTYPE /run/initramfs/live/root").stdout.strip() == "erofs"
        # What fetched it is gone, and so is the lease: the system's own network came after it.
        assert machine.ssh("pgrep -c systemd-network").stdout.strip() == "1"
        assert machine.ssh("pgrep -c systemd-udevd").stdout.strip() == "1"
        assert machine.ssh("networkctl --json=short status | grep -c configured").stdout.strip() == "1"
        machine.shut_down()


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_a_kickstart_that_is_named_installs(
    firmware: Firmware, script: Path, program: Path, store: Store, machine_seed: Path, installs: InstallLab
) -> None:
    disk = installs.blank(f"netboot-{firmware}")
    drive = BootDrive(file=disk, format="raw", writable=True)
    hardware = plain(store, machine_seed, firmware=firmware, boot_drive=drive, restarts=True, ssh_key=installs.key)
    settings = {"ks": "BASE/kickstart.json", "args": "insecure_installation=1"}
    files = {"/kickstart.json": installs.kickstart(hostname="installed").encode()}
    with netbooted(hardware, script, store, machine_seed, settings=settings, files=files, program=program) as (
        machine,
        terminal,
        served,
    ):
        finished(terminal, TIMEOUT)
        assert served.asked[-2:] == [f"/{script.with_suffix('.installer.erofs').name}", "/kickstart.json"]
        if firmware == "uefi":
            # What starts now is what the installer has told the firmware.
            terminal.wait_for(r'BdsDxe: starting Boot\d{4} "Phos [0-9.]+"', timeout=TIMEOUT)
        wait_for_boot(machine)
        assert machine.ssh("hostname").stdout.strip() == "installed"
        words = machine.ssh("cat /proc/cmdline").stdout.split()
        assert not [word for word in words if word.startswith(("live.", "ip=", "ks=", "root=live:"))]
        machine.shut_down()
