"""A host updates: packages and a kernel from one publication to the next, a restart, and the boot is found good."""

from __future__ import annotations

from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.log import Reporter
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.support.faulty_web import web
from tests.support.fleet import Fleet
from tests.support.published import image_of
from tests.support.tdnf_lab import Made
from tests.support.updates import Hosts

pytestmark = pytest.mark.boot

NEXT = ("tzdata", "gzip")


def test_from_one_publication_to_the_next(
    configuration: Config, store: Store, machine_seed: Path, tmp_path: Path
) -> None:
    session = Session(config=configuration, store=store, reporter=Reporter(), offline=True)
    hosts = Hosts(image=image_of(configuration, "qcow2"), seed=machine_seed, scratch=store.scratch, folder=tmp_path)
    (tmp_path / "www").mkdir()
    with web(tmp_path / "www") as served:
        fleet = Fleet(session, served, tmp_path / "fleet", configuration.profile("default").packages)
        fleet.publish(fleet.make([Made(name="app")]))
        with hosts.running(hosts.disk("host")) as host:
            host.up()
            old = host.kernel
            status = host.status()
            assert (status["kernels"], status["good_kernel"], status["fallback"]) == (old, old, "")
            assert host.ssh("systemctl is-active boot-complete.target boot-assessment-good").split() == ["active"] * 2
            assert host.ssh("rpm --eval %_minimize_writes") == "0\n"
            fleet.enrol(host)
            host.ssh("tdnf -y install app && boot-assessment good", timeout=600)

            new = fleet.make(
                [fleet.kernel_package("6.12.1000"), fleet.kernel_package("6.12.99"), Made(name="app", version="2")]
            )
            fleet.publish([*fleet.next_release(NEXT), *new])
            host.ssh("tdnf -y upgrade && tdnf -y install linux-6.12.99", timeout=600)
            status = host.status()
            # By rpm's order, not by that of the letters.
            assert status["kernels"].split() == ["6.12.1000-1", old, "6.12.99-1"]
            assert (status["boot_counter"], status["fallback"]) == ("3", old)
            assert "on trial" in host.ssh("systemctl restart boot-assessment-motd; cat /run/motd.d/80-boot-assessment")

            host.restart()
            assert host.kernel == "6.12.1000-1"
            status = host.status()
            assert (status["good_kernel"], status["boot_counter"], status["fallback"]) == ("6.12.1000-1", "", "")
            assert host.ssh("ls -A /.update") == "revert\n"
            assert host.ssh("rpm -q --qf '%{VERSION} ' app; rpm -q --qf '%{RELEASE}\n' gzip").endswith(".90\n")
            assert host.ssh("tdnf check") == "Check completed without issues\n"
            assert host.ssh("systemctl is-system-running", check=False) == "running\n"
            host.machine.shut_down()
