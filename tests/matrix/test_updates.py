"""Updates that do not start are undone: kernels that panic or hang, a network that is gone; and power cuts."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.errors import PhotonbuildError
from photonbuild.log import Reporter
from photonbuild.machines.drive import BootDrive
from photonbuild.machines.guest import put_box
from photonbuild.machines.hardware import Firmware
from photonbuild.machines.verify import BUSYBOX
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.support.faulty_web import web
from tests.support.fleet import BREAKS, HANG, PANIC, Fleet, settings
from tests.support.published import image_of
from tests.support.tdnf_lab import Made
from tests.support.updates import WATCHDOG, Host, Hosts

pytestmark = pytest.mark.matrix

UNDONE = 3000.0
UPGRADE = "tdnf -y upgrade"
BASE = ("bash", "coreutils", "systemd", "systemd-libs", "openssh-server", "openssh-clients", "openssh", "tzdata", "rpm")
CUTS = 30
AT_ONCE = 6  # cuts of one test; a worker of pytest-xdist takes one test after the other


@dataclass(frozen=True)
class Lab:
    """A host that was started once and updates from `fleet`; each test has a copy of its disk."""

    hosts: Hosts
    fleet: Fleet
    disk: BootDrive

    def copy(self, name: str, cache: str = "unsafe") -> BootDrive:
        folder = self.hosts.folder / name
        folder.mkdir()
        shutil.copy(self.disk.file, folder / "disk.qcow2")
        return replace(self.disk, file=folder / "disk.qcow2", cache=cache)


@pytest.fixture(scope="module")
def lab(
    configuration: Config, store: Store, machine_seed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("updates")
    (folder / "www").mkdir()
    session = Session(config=configuration, store=store, reporter=Reporter())
    hosts = Hosts(image=image_of(configuration, "qcow2"), seed=machine_seed, scratch=store.scratch, folder=folder)
    with web(folder / "www") as served:
        profile = configuration.profile(configuration.image("qcow2").profile).packages
        fleet = Fleet(session, served, folder / "fleet", profile)
        disk = hosts.disk("base")
        with hosts.running(disk) as host:
            host.up()
            fleet.enrol(host)
            assert host.status()["boot_counter"] == ""
            host.ssh("systemctl mask --now systemd-timesyncd; sync; fstrim -a || :")
            host.machine.shut_down()
        yield Lab(hosts, fleet, disk)


def undone(host: Host, before: str) -> None:
    """Wait for the boot after the tries, in which one may log in as well: all is as before the update."""
    end, status = time.monotonic() + UNDONE, {"boot_counter": "?"}
    while status["boot_counter"] != "":
        with contextlib.suppress(PhotonbuildError):
            host.next_boot(before, end - time.monotonic())
            before = host.boot
            status = host.status()
    assert (status["update_undone"], status["fallback"], status["boot_counter"]) == ("1", "", ""), status
    assert "did not start in three tries" in host.ssh("cat /run/motd.d/80-boot-assessment")
    assert "undone" in host.ssh("tdnf history")
    assert host.ssh("tdnf check") == "Check completed without issues\n"
    assert host.ssh("rpm -Va --noconfig", check=False, timeout=900) == ""
    console = host.machine.console.read_text(encoding="utf-8", errors="replace")
    # One boot before, three tries, and the one that is good; UEFI's own console is on the serial port as well.
    assert console.count("Booting `") in (5, 10)
    assert "going back to the system before it" in console


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_kernel_that_panics(lab: Lab, firmware: Firmware) -> None:
    fleet = lab.fleet
    fleet.publish(fleet.make([fleet.kernel_package("6.12.900", PANIC), Made(name="app")]))
    with lab.hosts.running(lab.copy(f"panic-{firmware}"), firmware=firmware) as host:
        before = host.up()
        kernel = host.kernel
        host.ssh("tdnf -y install app; tdnf -y install linux-6.12.900", timeout=900)
        assert host.status()["kernels"].split() == ["6.12.900-1", kernel]
        host.machine.ssh("systemctl reboot", check=False)
        undone(host, before)
        assert host.kernel == kernel and host.status()["kernels"] == kernel
        assert "not installed" in host.ssh("rpm -q app", check=False)


def test_a_kernel_that_hangs(lab: Lab) -> None:
    fleet = lab.fleet
    fleet.publish(fleet.make([fleet.kernel_package("6.12.901", HANG)]))
    with lab.hosts.running(lab.copy("hang"), options=WATCHDOG) as host:
        before = host.up()
        kernel = host.kernel
        assert host.ssh("systemctl show -P RuntimeWatchdogUSec").strip() == "1min"
        host.ssh("touch /etc/systemd/hang; tdnf -y install linux-6.12.901", timeout=900)
        # A check that takes longer than the kernel needs to hang: the boot is not good before that.
        host.write("/etc/boot-assessment/check.d/50-slow", b"#!/bin/sh\nsleep 200\n")
        host.ssh("chmod +x /etc/boot-assessment/check.d/50-slow; sync")
        host.machine.ssh("systemctl reboot", check=False)
        undone(host, before)
        assert host.kernel == kernel


@pytest.mark.parametrize("what", BREAKS)
def test_an_update_that_breaks(lab: Lab, what: str) -> None:
    """The network; and what must be mounted, so that systemd ends in emergency mode."""
    fleet, files = lab.fleet, BREAKS[what]
    fleet.publish(fleet.make([settings(files)]))
    with lab.hosts.running(lab.copy(what)) as host:
        before = host.up()
        host.ssh("tdnf -y install settings", timeout=900)
        host.machine.ssh("systemctl reboot", check=False)
        undone(host, before)
        assert "not installed" in host.ssh("rpm -q settings", check=False)
        # What was undone is still there to look at.
        host.ssh(" && ".join(f"test -e /.update/failed{file}" for file in files))


@pytest.mark.parametrize("first", range(0, CUTS, AT_ONCE))
def test_the_power_is_cut_at_any_instant(lab: Lab, first: int) -> None:
    """QEMU is killed; what the guest had not flushed is lost, as in a disk's cache. The same command again mends it."""
    fleet = lab.fleet
    fleet.publish(fleet.next_release(BASE))
    with lab.hosts.running(lab.copy(f"whole-{first}")) as host:
        host.up()
        started = time.monotonic()
        host.ssh(UPGRADE, timeout=1800)
        whole = time.monotonic() - started
    random_parts = random.Random(20261121)
    parts = [random_parts.random() for _ in range(CUTS)]
    for number in range(first, first + AT_ONCE):
        instant = parts[number] * whole
        disk = lab.copy(f"cut-{number}", cache="writeback")
        with lab.hosts.running(disk) as host:
            host.up()
            host.ssh(f"{UPGRADE} > /root/said 2>&1 < /dev/null & sleep 0")
            time.sleep(instant)
        with lab.hosts.running(disk) as host:
            host.up(UNDONE)
            host.ssh(UPGRADE, timeout=1800)
            about = f"cut {number} after {instant:.1f} s of {whole:.1f}"
            assert host.ssh("tdnf check") == "Check completed without issues\n", about
            assert host.ssh("rpm -Va --noconfig", check=False, timeout=900) == "", about
            assert host.ssh("rpm -q --qf '%{RELEASE}\\n' systemd").endswith(".90\n"), about
        print(about, "whole again", flush=True)


def test_all_packages_of_the_image_upgrade(lab: Lab, machine_seed: Path) -> None:
    """All but the kernel, of which a second one stands beside the first: tests/boot/test_updates.py."""
    fleet = lab.fleet
    names = {package.name for built in fleet.built.values() for package in built.packages} - {"linux"}
    fleet.publish(fleet.next_release(sorted(names)))
    with lab.hosts.running(lab.copy("all")) as host:
        host.up()
        host.ssh(UPGRADE, timeout=1800)
        host.restart()
        status = host.status()
        assert (status["update_undone"], status["fallback"], status["boot_counter"]) == ("", "", ""), status
        assert host.ssh("systemctl is-system-running", check=False) == "running\n"
        installed = dict(line.split() for line in host.ssh("rpm -qa --qf '%{NAME} %{RELEASE}\n'").splitlines())
        kept = sorted(name for name, release in installed.items() if not release.endswith(".90"))
        assert kept == ["gpg-pubkey", "linux"]
        assert host.ssh("tdnf check") == "Check completed without issues\n"
        assert host.ssh("rpm -Va --noconfig", check=False, timeout=900) == ""
        box = put_box(host.machine.config, machine_seed / BUSYBOX)
        host.ssh(f"tar -C {box} -c . | docker import - local/box && rm -r {box}", timeout=600)
        assert host.ssh("docker run --rm local/box echo upgraded", timeout=600) == "upgraded\n"


def test_the_timer_applies_advisories_only(lab: Lab) -> None:
    fleet = lab.fleet
    fleet.publish(fleet.make([Made(name="app")]))
    with lab.hosts.running(lab.copy("timer")) as host:
        host.up()
        host.ssh("tdnf -y install app", timeout=900)
        assert host.ssh("systemctl is-enabled tdnf-automatic.timer", check=False) == "disabled\n"
        fleet.publish(fleet.make([Made(name="app", version="2")]))
        changes = "s/^random_sleep.*/random_sleep = 0/; s/^apply_updates.*/apply_updates = yes/"
        host.ssh(f"sed -i '{changes}' /etc/tdnf/automatic.conf")
        host.ssh("systemctl start tdnf-automatic.service", timeout=600)
        assert host.ssh("rpm -q --qf '%{VERSION}' app") == "1"
        assert "no updates" in host.ssh("journalctl -u tdnf-automatic -o cat")
        host.ssh("sed -i 's/^upgrade_type.*/upgrade_type = default/' /etc/tdnf/automatic.conf")
        host.ssh("systemctl start tdnf-automatic.service", timeout=600)
        assert host.ssh("rpm -q --qf '%{VERSION}' app") == "2"
        assert "1 updates were applied" in host.ssh("cat /run/motd.d/70-tdnf-automatic")
        host.ssh("systemctl enable --now tdnf-automatic.timer")
        assert "tdnf-automatic.timer" in host.ssh("systemctl list-timers")


def test_an_update_of_docker_leaves_its_containers_alone(lab: Lab, machine_seed: Path) -> None:
    """Without live-restore the old daemon goes on; with it the daemon is replaced under them."""
    fleet = lab.fleet
    fleet.publish(fleet.next_release(["docker-engine", "docker-proxy"]))
    with lab.hosts.running(lab.copy("docker")) as host:
        host.up()
        box = put_box(host.machine.config, machine_seed / BUSYBOX)
        host.ssh(f"tar -C {box} -c . | docker import - local/box && rm -r {box}", timeout=600)
        daemon = "systemctl show -P MainPID docker"
        container = "docker inspect -f '{{.State.Status}} {{.State.Pid}}' kept"
        host.ssh("docker run -d --name kept local/box sleep 100000", timeout=600)
        before = host.ssh(daemon), host.ssh(container)
        host.ssh("tdnf -y upgrade docker-engine docker-proxy", timeout=1800)
        assert (host.ssh(daemon), host.ssh(container)) == before and "running" in before[1]
        assert "systemctl restart docker" in host.ssh("cat /run/motd.d/60-docker")

        host.ssh("systemctl enable docker-live-restore && systemctl restart docker && docker start kept", timeout=600)
        assert host.ssh("ls /run/motd.d").count("60-docker") == 0
        before = host.ssh(daemon), host.ssh(container)
        host.ssh("tdnf -y reinstall docker-engine", timeout=1800)
        assert host.ssh(daemon) != before[0], "the new daemon runs"
        assert host.ssh(container) == before[1]
