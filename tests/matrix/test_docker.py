"""Docker where it meets the rest of the world: a registry over TLS, IPv6, datagrams, and the machine's restart."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild.config.load import Config
from photonbuild.errors import PhotonbuildError
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.guest import put_box, ssh
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.ssh import free_port
from photonbuild.machines.verify import BOOT_TIMEOUT, BUSYBOX
from photonbuild.pipeline.image import make_image
from photonbuild.run import Completed
from photonbuild.store import Store
from tests.matrix.conftest import session_of
from tests.support.distribution import PASSWORD, USER, Distribution, distribution
from tests.support.native import UDP_ECHO, go_program

pytestmark = pytest.mark.matrix

IMAGE = "local/box"
UDP_PORT = 9000
SERVER = "mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 80 -h /www"


class Guest:
    """A machine with Docker, and an image in it of one static program and a server of datagrams."""

    def __init__(self, machine: Machine, udp_port: int) -> None:
        self.machine, self.udp_port = machine, udp_port

    def out(self, command: str) -> str:
        return self.machine.ssh(command, timeout=300).stdout.strip()

    def fails(self, command: str) -> str:
        done: Completed = self.machine.ssh(command, timeout=300, check=False)
        assert done.returncode, command
        return done.stdout + done.stderr

    def restart(self) -> None:
        """As its owner restarts it; ends when all is up again."""
        boot_id = "cat /proc/sys/kernel/random/boot_id"
        before = self.out(boot_id)
        self.machine.ssh("systemctl reboot", check=False)
        deadline = time.monotonic() + BOOT_TIMEOUT
        while True:
            try:
                if ssh(self.machine.config, boot_id, timeout=20).stdout.strip() != before:
                    break
            except PhotonbuildError:
                self.machine.check_alive()
            assert time.monotonic() < deadline, self.machine.console.read_text(errors="replace")[-2000:]
            time.sleep(1)
        self.out("systemctl is-system-running --wait")


@pytest.fixture(scope="module")
def guest(configuration: Config, store: Store, machine_seed: Path) -> Iterator[Guest]:
    session, port = session_of(configuration, store), free_port()
    echo = go_program(session, UDP_ECHO) / "udpecho"
    with boot_drive(make_image(session, "raw", [])[0].path) as plugged:
        hardware = Hardware(
            boot_drive=plugged,
            accel=best_accel(machine_seed, store.scratch),
            network=[f"hostfwd=udp:127.0.0.1:{port}-:{UDP_PORT}"],
            restarts=True,
        )
        with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
            machine.wait_for_ssh(BOOT_TIMEOUT)
            machine.ssh("systemctl is-system-running --wait", timeout=BOOT_TIMEOUT)
            root = put_box(machine.config, machine_seed / BUSYBOX)
            machine.ssh(f"cat > {root}/bin/udpecho && chmod 755 {root}/bin/udpecho", input=echo.read_bytes())
            machine.ssh(f"tar -C {root} -c . | docker import - {IMAGE}", timeout=300)
            yield Guest(machine, port)


@pytest.fixture(scope="module")
def registry(configuration: Config, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    with distribution(session_of(configuration, store), tmp_path_factory.mktemp("registry")) as served:
        yield served


def test_push_and_pull_over_tls(guest: Guest, registry: Distribution) -> None:
    """With an authority that the daemon is told of, by one who has logged in; by name and by digest."""
    name = f"{registry.address}/box"
    guest.out(f"docker tag {IMAGE} {name}:1")
    assert "certificate signed by unknown authority" in guest.fails(f"docker push {name}:1")
    guest.machine.ssh(
        f"mkdir -p /etc/docker/certs.d/{registry.address} && cat > /etc/docker/certs.d/{registry.address}/ca.crt",
        input=registry.authority.encode(),
    )
    assert re.search("no basic auth credentials|unauthorized|authorization failed", guest.fails(f"docker pull {name}"))
    login = f"docker login --username {USER} --password-stdin {registry.address}"
    assert "unauthorized" in guest.fails(f"printf %s wrong | {login}").lower()
    guest.out(f"printf %s '{PASSWORD}' | {login}")
    pushed = re.findall(r"digest: (sha256:[0-9a-f]{64})", guest.out(f"docker push {name}:1"))
    guest.out(f"docker rmi {name}:1 {IMAGE}")
    assert guest.fails(f"docker run --rm --pull never {name}:1 true")
    for reference in (f"{name}:1", f"{name}@{pushed[0]}"):
        guest.out(f"docker pull {reference}")
        assert guest.out(f"docker run --rm --network none {reference} echo it runs") == "it runs"
    guest.out(f"docker tag {name}:1 {IMAGE}")
    assert "not found" in guest.fails(f"docker pull {name}@sha256:{'0' * 64}")
    guest.out(f"docker logout {registry.address}")


def test_published_datagrams(guest: Guest) -> None:
    """From outside, and the answer comes back to who asked."""
    guest.out(f"docker run -d --name echo -p {UDP_PORT}:{UDP_PORT}/udp {IMAGE} udpecho {UDP_PORT}")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            deadline = time.monotonic() + 30
            while True:
                try:
                    sock.sendto(b"a datagram", ("127.0.0.1", guest.udp_port))
                    assert sock.recv(100).endswith(b" a datagram")
                    break
                except TimeoutError:
                    assert time.monotonic() < deadline, guest.out("docker logs echo; iptables -t nat -S")
        assert "[::]" in guest.out(f"ss -Hlnu sport = :{UDP_PORT}")
    finally:
        guest.out("docker rm -f echo")
    assert guest.out(f"ss -Hlnu sport = :{UDP_PORT}") == ""
    assert f"{UDP_PORT}" not in guest.out("iptables -t nat -S DOCKER")


def test_ipv6(guest: Guest) -> None:
    """Containers reach each other by name and address, and a published port is reached at the machine's address."""
    guest.out("docker network create --ipv6 --subnet fd00:1::/64 six")
    guest.out("docker network create --ipv6 --subnet fd00:2::/64 other")
    try:
        guest.out(f"docker run -d --name six --hostname six --network six -p 8080:80 {IMAGE} sh -c '{SERVER}'")
        address = guest.out("docker inspect -f '{{(index .NetworkSettings.Networks \"six\").GlobalIPv6Address}}' six")
        assert address.startswith("fd00:1::")

        def inside(network: str, command: str) -> str:
            return f"docker run --rm --network {network} {IMAGE} {command}"

        assert "1 packets received" in guest.out(inside("six", "ping -6 -c 1 six"))
        fetch = "wget -q -O - -T 20"
        assert guest.out(inside("six", f"{fetch} http://[{address}]/")) == "six"
        assert guest.out("curl -sS --max-time 20 http://[::1]:8080/") == "six"
        assert guest.out(inside("other", f"{fetch} http://[fd00:2::1]:8080/")) == "six"
        # Networks are apart but for what is published.
        guest.fails(inside("other", f"wget -q -O - -T 3 http://[{address}]/"))
        assert "MASQUERADE" in guest.out("ip6tables -t nat -S POSTROUTING")
    finally:
        guest.out("docker rm -f six; docker network rm six other")


def test_containers_after_a_restart_of_the_machine(guest: Guest) -> None:
    """Those come back that are to; what they wrote is there."""
    write = "echo $(date +%s) >> /data/starts; exec sleep 1000000"
    for name, policy in (
        ("always", "always"),
        ("unless", "unless-stopped"),
        ("stopped", "unless-stopped"),
        ("no", "no"),
    ):
        guest.out(f"docker run -d --init --restart {policy} --name {name} -v {name}:/data {IMAGE} sh -c '{write}'")
    guest.out(f"docker run -d --restart on-failure:2 --name failing {IMAGE} false")
    guest.out("docker stop -t 1 stopped")
    guest.restart()

    def running() -> set[str]:
        return set(guest.out("docker ps --format '{{.Names}}'").split())

    deadline = time.monotonic() + 60
    while running() != {"always", "unless"}:
        assert time.monotonic() < deadline, guest.out("docker ps -a; journalctl -b -u docker -n 30 --no-pager")
        time.sleep(1)
    assert guest.out("docker exec always wc -l /data/starts").split()[0] == "2"
    assert guest.out("docker inspect -f '{{.State.Status}}' stopped no") == "exited\nexited"
    guest.out("docker rm -f always unless stopped no failing; docker volume rm always unless stopped no")
