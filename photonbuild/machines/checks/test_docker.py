"""Docker: containers run, are reached and reach out, are limited, and outlive their daemon."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

IMAGE = "local/box"
SERVER = "mkdir -p /www && echo hello from $(hostname) > /www/index.html && echo started && exec httpd -f -p 80 -h /www"


def docker(host: Host, command: str) -> str:
    return str(host.check_output(f"docker {command}"))


def inspect(host: Host, name: str, template: str) -> str:
    return docker(host, f"inspect --format '{template}' {name}")


def start_web_server(host: Host, facts: dict[str, Any], box: str, port: int, script: str) -> None:
    host.check_output(f"tar -C {box} -c . | docker import - local/side")
    docker(host, f"run -d --name side --restart always -p {port}:80 local/side sh -c {shlex.quote(script)}")


def stop_web_server(host: Host) -> None:
    host.check_output("docker rm -f side; docker rmi local/side")


@pytest.fixture(scope="module", autouse=True)
def image(host: Host, box: str) -> Iterator[str]:
    """An image made in the machine; afterwards no container, network or image of it is left."""
    host.check_output(f"tar -C {box} -c . | docker import - {IMAGE}")
    yield IMAGE
    host.run("docker ps -aq | xargs -r docker rm -f; docker network prune -f")
    host.run(f"docker rmi {IMAGE}")


@pytest.fixture(scope="module")
def server(host: Host, ports: list[int], image: str) -> str:
    """A container with a published port, shared by the tests of this module."""
    docker(host, f"run -d --name server --hostname box1 -p {ports[0]}:80 {image} sh -c '{SERVER}'")
    return "server"


@pytest.fixture(scope="module")
def confined(host: Host, image: str) -> dict[str, str]:
    """What a container with an init process and limits sees: the contents of files by path."""
    files = [
        "/proc/1/cmdline",
        "/proc/self/status",
        *(f"/sys/fs/cgroup/{name}.max" for name in ("memory", "pids", "cpu")),
    ]
    script = f'for file in {" ".join(files)}; do echo "#$file"; cat $file; echo; done'
    limits = "--memory 64m --pids-limit 50 --cpus 0.5"
    said = docker(host, f"run --rm --init --network none {limits} {image} sh -c '{script}'")
    return dict(part.split("\n", 1) for part in said.lstrip("#").split("\n#"))


def test_daemon(host: Host) -> None:
    info = json.loads(docker(host, "info --format '{{json .}}'"))
    assert (info["CgroupVersion"], info["CgroupDriver"]) == ("2", "systemd")
    assert "overlay" in info["Driver"]
    # Swarm mode is refused where live-restore is on.
    assert (info["LiveRestoreEnabled"], info["Swarm"]["LocalNodeState"]) == (False, "inactive")
    assert not info.get("Warnings") and not info.get("ServerErrors")
    assert info["ServerVersion"][0].isdigit(), "the version is not stamped into dockerd"
    assert info["InitBinary"] == "docker-init"


def test_it_runs_and_returns_the_exit_code(host: Host, image: str) -> None:
    result = host.run(f"docker run --rm {image} sh -c 'echo it runs; exit 7'")
    assert (result.stdout, result.rc) == ("it runs\n", 7)


def test_init_process(confined: dict[str, str]) -> None:
    assert "docker-init" in confined["/proc/1/cmdline"]


def test_published_port_from_outside(server: str, fetch: Callable[..., str]) -> None:
    assert fetch() == "hello from box1\n"


def test_outside_name_and_server(host: Host, image: str, facts: dict[str, Any], testnet_dns: None) -> None:
    script = f"nslookup -type=a {facts['testnet']['name']} && wget -q -O - -T 20 {facts['testnet']['url']}"
    said = docker(host, f"run --rm {image} sh -c '{script}'")
    assert facts["testnet"]["host"] in said and said.endswith(facts["testnet"]["token"])


def test_names_on_a_network_of_its_own(host: Host, image: str, facts: dict[str, Any], testnet_dns: None) -> None:
    docker(host, "network create inner")
    docker(host, f"run -d --name web --hostname box2 --network inner {image} sh -c '{SERVER}'")
    script = f"wget -q -O - -T 20 http://web/ && wget -q -O - -T 20 {facts['testnet']['url']}"
    said = docker(host, f"run --rm --network inner {image} sh -c '{script}'")
    assert said == f"hello from box2\n{facts['testnet']['token']}"
    docker(host, "rm -f web")
    docker(host, "network rm inner")


def test_memory_limit_kills(host: Host, image: str) -> None:
    """The kernel kills each time. That Docker knows why may be lost in containerd, where the scope is gone first.

    https://github.com/containerd/containerd/issues/8893
    """
    states: list[str] = []
    while "true 137" not in states and len(states) < 3:
        result = host.run(f"docker run --name hog --network none --memory 64m --memory-swap 64m {image} tail /dev/zero")
        states.append(inspect(host, "hog", "{{.State.OOMKilled}} {{.State.ExitCode}}"))
        docker(host, "rm hog")
        assert result.rc == 137
    assert states[-1] == "true 137", states


def test_limits_reach_the_kernel(confined: dict[str, str]) -> None:
    found = [confined[f"/sys/fs/cgroup/{name}.max"].split() for name in ("memory", "pids", "cpu")]
    assert found == [[str(64 << 20)], ["50"], ["50000", "100000"]]


def test_logs(host: Host, server: str) -> None:
    assert docker(host, f"logs {server}") == "started"


def test_exec(host: Host, server: str) -> None:
    assert docker(host, f"exec {server} hostname") == "box1"


def test_volume_outlives_its_container(host: Host, image: str) -> None:
    docker(host, f"run --rm --network none -v keep:/data {image} sh -c 'echo kept > /data/file'")
    assert docker(host, f"run --rm --network none -v keep:/data {image} cat /data/file") == "kept"
    docker(host, "volume rm keep")


def test_default_seccomp_profile(confined: dict[str, str]) -> None:
    assert "\nSeccomp:\t2\n" in confined["/proc/self/status"]


@pytest.fixture
def live_restore(host: Host, server: str) -> Iterator[None]:
    """The daemon with live-restore, by its unit; the server was stopped with the daemon, and runs again."""
    host.check_output("systemctl enable docker-live-restore && systemctl restart docker")
    assert docker(host, "info --format '{{.LiveRestoreEnabled}}'") == "true"
    docker(host, f"start {server}")
    yield
    # Docker's unit allows three starts in a minute.
    host.check_output("systemctl reset-failed docker")
    host.check_output("systemctl disable --now docker-live-restore && systemctl restart docker")
    assert docker(host, "info --format '{{.LiveRestoreEnabled}}'") == "false"


def test_the_daemon_restarts_under_a_live_container(
    host: Host, server: str, live_restore: None, fetch: Callable[..., str]
) -> None:
    before = inspect(host, server, "{{.State.Pid}} {{.State.StartedAt}}")
    daemon = host.check_output("systemctl show -P MainPID docker")
    host.check_output("systemctl restart docker")
    assert host.check_output("systemctl show -P MainPID docker") != daemon
    assert inspect(host, server, "{{.State.Pid}} {{.State.StartedAt}}") == before
    assert fetch() == "hello from box1\n"
    assert docker(host, f"exec {server} hostname") == "box1"


def test_stop_and_start(host: Host, server: str, fetch: Callable[..., str]) -> None:
    docker(host, f"stop -t 1 {server}")
    assert inspect(host, server, "{{.State.Status}}") == "exited"
    docker(host, f"start {server}")
    assert fetch() == "hello from box1\n"


def test_remove_leaves_nothing(host: Host, server: str) -> None:
    docker(host, f"rm -f {server}")
    assert docker(host, "ps -aq") == ""
    assert host.check_output("ls /run/containerd/io.containerd.runtime.v2.task/moby 2>/dev/null | wc -l") == "0"


# What contrib/check-config.sh of moby calls generally necessary, for cgroup v2; then its optional features, but for
# SELinux, and its network drivers. (Of its storage drivers one is enough.)
NECESSARY = """
    NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CGROUPS CGROUP_CPUACCT CGROUP_DEVICE CGROUP_FREEZER CGROUP_SCHED CPUSETS
    MEMCG
    KEYS VETH BRIDGE BRIDGE_NETFILTER IP_NF_FILTER IP_NF_MANGLE IP_NF_TARGET_MASQUERADE IP6_NF_FILTER IP6_NF_MANGLE
    IP6_NF_TARGET_MASQUERADE NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_CONNTRACK NETFILTER_XT_MATCH_IPVS
    NETFILTER_XT_MARK IP_NF_RAW IP_NF_NAT NF_NAT IP6_NF_RAW IP6_NF_NAT POSIX_MQUEUE CGROUP_BPF
"""
OPTIONAL = """
    USER_NS SECCOMP SECCOMP_FILTER CGROUP_PIDS CGROUP_HUGETLB BLK_CGROUP BLK_DEV_THROTTLING CGROUP_PERF NET_CLS_CGROUP
    CGROUP_NET_PRIO CFS_BANDWIDTH FAIR_GROUP_SCHED IP_NF_TARGET_REDIRECT IP_VS IP_VS_NFCT IP_VS_PROTO_TCP
    IP_VS_PROTO_UDP IP_VS_RR SECURITY_APPARMOR EXT4_FS EXT4_FS_POSIX_ACL EXT4_FS_SECURITY
    VXLAN BRIDGE_VLAN_FILTERING CRYPTO CRYPTO_AEAD CRYPTO_GCM CRYPTO_SEQIV CRYPTO_GHASH XFRM XFRM_USER XFRM_ALGO
    INET_ESP NETFILTER_XT_MATCH_BPF IPVLAN MACVLAN DUMMY NF_NAT_FTP NF_CONNTRACK_FTP NF_NAT_TFTP NF_CONNTRACK_TFTP
    OVERLAY_FS
"""


def test_kernel_has_what_docker_calls_necessary(host: Host) -> None:
    lines = set(host.check_output("gzip -dc /proc/config.gz").splitlines())
    options = [f"CONFIG_{name}" for name in (NECESSARY + OPTIONAL).split()]
    assert [name for name in options if not {f"{name}=y", f"{name}=m"} & lines] == []
