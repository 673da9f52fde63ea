"""The installer's entry of the ISO: a kickstart on a CD, a blank disk, the restart, the installed system."""

from __future__ import annotations

import pytest

from tests.support.installs import InstallLab, docker_runs, finished, suite
from tests.support.published import wait_for_boot

pytestmark = pytest.mark.boot


def test_a_kickstart_installs_and_the_machine_restarts_into_it(installs: InstallLab) -> None:
    """The sample for the least; only the entry is chosen by hand, the kickstart is found by the label of its medium."""
    disc = installs.disc("KICKSTART", {"kickstart.yaml": installs.sample("minimal.yaml")})
    disk = installs.blank("minimal")
    with installs.medium(disk, bus="sata", discs=[disc], menu=True, restarts=True, ssh_key=installs.key) as (
        machine,
        term,
    ):
        finished(term)
        wait_for_boot(machine)
        # The runtimes' checks run in the installed systems of the matrix.
        names = suite(machine, installs, checks_of=[])
        assert {name.partition(":")[0] for name in names} == {"system"}
        docker_runs(machine, installs)
        # Nobody has this machine's identity, and it has nothing of the medium's.
        identity = machine.ssh("cat /etc/machine-id").stdout.strip()
        assert len(identity) == 32 and machine.ssh("findmnt /etc/machine-id", check=False).returncode == 1
        assert machine.ssh("find /etc/ssh -name 'ssh_host_*' ! -newer /var/log/installer.log").stdout == ""
        assert machine.ssh("cat /root/.ssh/authorized_keys").stdout.strip() == installs.public_key
        assert "live" not in machine.ssh("cat /proc/cmdline /proc/mounts").stdout
        assert machine.ssh("stat -c %a /var/log/installer.log").stdout.strip() == "600"
        machine.shut_down()
