"""Docker's swarm mode on two machines with a wire between them: services, an overlay network, an encrypted one."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import BootDrive
from photonbuild.machines.guest import put_box
from photonbuild.machines.hardware import INSIDE, Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.machines.ssh import free_port
from photonbuild.machines.verify import BUSYBOX
from photonbuild.store import Store
from tests.support.published import wait_for_boot

pytestmark = pytest.mark.matrix

# A registry is asked for a service's image first: one that refuses at once, so that the one in the machine is used.
IMAGE = "127.0.0.1:1/box"
ADDRESSES = ("10.77.0.1", "10.77.0.2")
SECONDS = 180
# What is answered over each network; both words would be on the wire, if they were not encrypted.
PLAIN, SECRET = "readable-by-all", "for-two-alone"


@dataclass(frozen=True)
class Swarm:
    """A manager and a worker, and what went over the wire between them so far."""

    manager: Machine
    worker: Machine
    seen: Path

    def docker(self, command: str) -> str:
        return self.manager.ssh(f"docker {command}", timeout=SECONDS).stdout.strip()

    def eventually(self, machine: Machine, command: str, text: str) -> None:
        """The command prints `text`, sooner or later."""
        deadline = time.monotonic() + SECONDS
        while text not in (done := machine.ssh(command, check=False, timeout=SECONDS)).stdout:
            assert time.monotonic() < deadline, (
                done.stdout + done.stderr + self.docker("service ls") + self.docker("node ls")
            )
            time.sleep(2)

    def asks(self, url: str) -> str:
        """A command on the worker: its task of the service `asks` fetches the address."""
        task = "docker ps -q --filter label=com.docker.swarm.service.name=asks"
        return f"docker exec $({task}) wget -q -O - -T 10 {url}"


def wire(ports: tuple[int, int], number: int) -> list[str]:
    """A second card, whose other end is the other machine's. What comes and goes is written to a file."""
    here, there = (ports[number], ports[1 - number])
    inet = "type=inet,{0}.host=127.0.0.1,{0}.port={1}"
    ends = ",".join(f"{end}.{inet.format(end, port)}" for end, port in (("local", here), ("remote", there)))
    return [
        "-netdev", f"dgram,id=wire,{ends}",
        "-device", f"virtio-net-pci,netdev=wire,romfile=,mac=52:54:00:77:00:0{number + 1}",
        "-object", f"filter-dump,id=seen,netdev=wire,file={INSIDE}/wire.pcap",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def swarm(iso: Path, store: Store, machine_seed: Path) -> Iterator[Swarm]:
    ports = (free_port(), free_port())
    accel = best_accel(machine_seed, store.scratch)
    drive = BootDrive(file=iso, format="raw", bus="cd")
    with contextlib.ExitStack() as stack:
        machines = [
            stack.enter_context(
                Machine(
                    Hardware(boot_drive=drive, accel=accel, options=wire(ports, number)),
                    seed=machine_seed,
                    scratch=store.scratch,
                )
            )
            for number in range(2)
        ]
        for number, machine in enumerate(machines):
            set_up(machine, number, machine_seed)
        manager, worker = machines
        manager.ssh(f"docker swarm init --advertise-addr {ADDRESSES[0]}", timeout=SECONDS)
        token = manager.ssh("docker swarm join-token -q worker").stdout.strip()
        worker.ssh(f"docker swarm join --token {token} {ADDRESSES[0]}:2377", timeout=SECONDS)
        yield Swarm(manager, worker, manager.folder / "wire.pcap")


def set_up(machine: Machine, number: int, seed: Path) -> None:
    """The address on the wire, and the image."""
    wait_for_boot(machine)
    network = f"[Match]\nMACAddress=52:54:00:77:00:0{number + 1}\n[Network]\nAddress={ADDRESSES[number]}/24\n"
    machine.ssh(
        f"mkdir -p /run/systemd/network && printf %s {shlex.quote(network)} > /run/systemd/network/10-wire.network && "
        f"hostnamectl hostname node{number} && networkctl reload && "
        f"for try in $(seq 50); do ip -br address | grep -q {ADDRESSES[number]}/ && break; sleep 0.2; done"
    )
    box = put_box(machine.config, seed / BUSYBOX)
    machine.ssh(f"tar -C {box} -c . | docker import - {IMAGE}")


@pytest.fixture(scope="module")
def services(swarm: Swarm) -> Swarm:
    """Two services on a network in the clear and an encrypted one: `web` at the manager, `asks` at the worker."""
    swarm.docker("network create -d overlay plain")
    swarm.docker("network create -d overlay --opt encrypted secret")
    for name, text in (("plain", PLAIN), ("secret", SECRET)):
        serve = f"mkdir -p /www && echo {text} > /www/index.html && exec httpd -f -p 80 -h /www"
        publish = "--publish 8080:80" if name == "plain" else ""
        swarm.docker(
            f"service create --quiet --detach --name web-{name} --network {name} {publish} "
            f"--constraint node.role==manager {IMAGE} sh -c {shlex.quote(serve)}"
        )
    swarm.docker(
        "service create --quiet --detach --name asks --network plain --network secret "
        f"--constraint node.role==worker {IMAGE} sleep 100000"
    )
    listed = "docker service ls --format '{{.Name}} {{.Replicas}}'"
    for name in ("web-plain", "web-secret", "asks"):
        swarm.eventually(swarm.manager, listed, f"{name} 1/1")
    return swarm


def test_both_nodes_are_ready(swarm: Swarm) -> None:
    said = swarm.docker("node ls --format '{{.Hostname}} {{.Status}}'")
    assert sorted(said.splitlines()) == ["node0 Ready", "node1 Ready"]


def test_a_service_is_reached_by_its_name(services: Swarm) -> None:
    services.eventually(services.worker, services.asks("http://web-plain/"), PLAIN)
    assert PLAIN.encode() in services.seen.read_bytes(), "what is not encrypted is not seen: the next test says nothing"


def test_what_goes_over_an_encrypted_network_is_not_seen(services: Swarm) -> None:
    services.eventually(services.worker, services.asks("http://web-secret/"), SECRET)
    assert SECRET.encode() not in services.seen.read_bytes()
    assert "proto esp" in services.manager.ssh("ip xfrm state").stdout


def test_a_published_port_answers_at_every_node(services: Swarm) -> None:
    for address in ADDRESSES:
        services.eventually(services.worker, f"curl -s -m 10 http://{address}:8080/", PLAIN)


def test_a_service_follows_its_number_of_replicas(services: Swarm) -> None:
    services.docker("service update --quiet --detach --constraint-rm node.role==manager web-plain")
    services.docker("service scale --detach web-plain=2")
    listed = "docker service ls --format '{{.Name}} {{.Replicas}}'"
    services.eventually(services.manager, listed, "web-plain 2/2")
    running = "docker service ps --filter desired-state=running --format '{{.Node}}' web-plain | sort -u | xargs"
    services.eventually(services.manager, running, "node0 node1")


def test_a_node_of_a_swarm_has_no_live_restore(services: Swarm) -> None:
    """The unit stands back: with it the daemon would not start."""
    services.worker.ssh("systemctl enable docker-live-restore && systemctl restart docker", timeout=SECONDS)
    said = services.worker.ssh("docker info --format '{{.LiveRestoreEnabled}} {{.Swarm.LocalNodeState}}'").stdout
    assert said == "false active\n"
