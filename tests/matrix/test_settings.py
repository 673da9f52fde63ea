"""What an image's own settings ask for is in the machine: packages, files, units, kernel arguments, keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.store import Store
from tests.matrix.conftest import Variant
from tests.support.published import wait_for_boot

pytestmark = pytest.mark.matrix


def test_settings_of_an_image(variant: Variant, store: Store, machine_seed: Path) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2yCkz6Nf2TJ2bJY2N0bHl5wq0Zg1cR1vG8s3Zp5QxL a-key"
    image = variant(
        "raw",
        packages=["file"],
        files=[{"path": "/etc/secret.conf", "text": "one line\n", "mode": "0600"}],
        services={"docker.service": "disabled", "gdn.service": "masked"},
        kernel_args=["console=ttyS0,115200", "systemd.hostname=by-argument"],
        authorized_keys=[key],
    )
    with boot_drive(image) as plugged:
        hardware = Hardware(boot_drive=plugged, accel=best_accel(machine_seed, store.scratch))
        with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
            wait_for_boot(machine)

            def said(command: str) -> list[str]:
                return machine.ssh(command, check=False).stdout.split()

            assert said("rpm -q --qf '%{NAME}' file; rpm -V file") == ["file"]
            assert said("stat -c '%a %U' /etc/secret.conf; cat /etc/secret.conf") == ["600", "root", "one", "line"]
            assert said("systemctl is-enabled docker gdn rkt-metadata.socket") == ["disabled", "masked", "enabled"]
            assert said("systemctl is-active docker gdn") == ["inactive", "inactive"]
            assert said("hostname") == ["by-argument"]
            assert key in machine.ssh("cat /root/.ssh/authorized_keys").stdout
            machine.shut_down()
