"""Garden's API, every route with good and bad input: containers, their files, limits, network and properties."""

from __future__ import annotations

import json
import tarfile
from typing import Any

import pytest

from photonbuild.machines.guest import BOX, UID, USER
from tests.support import garden_fixtures as api
from tests.support.garden_client import Garden, GardenError
from tests.support.garden_lab import HTTPD, MIB, Entry, Lab, files_of, from_outside, refused, special, tar_of, until
from tests.support.machines import Guest
from tests.support.registry import Registry

pytestmark = [pytest.mark.boot, pytest.mark.long]

Shared = tuple[Lab, str]

# A body for each route that takes a handle, good enough to be looked at.
BODIES: dict[str, Any] = {
    "Stop": {"kill": False},
    "NetIn": {"container_port": 80},
    "NetOut": {"protocol": api.TCP},
    "BulkNetOut": [{"protocol": api.TCP}],
    "Run": {"path": "/bin/true"},
    "SetGraceTime": api.SECOND,
    "SetProperty": {"value": "x"},
}


def address(lab: Lab, handle: str) -> str:
    return str(lab.garden.info(handle)["ContainerIP"])


# The server.


def test_ping(garden: Garden) -> None:
    garden.ping()


def test_capacity(garden: Garden, guest: Guest) -> None:
    capacity = garden.capacity()
    assert set(capacity) <= api.CAPACITY_KEYS
    assert capacity["memory_in_bytes"] == int(guest.out("awk '/^MemTotal/ {print $2}' /proc/meminfo")) << 10
    assert capacity["disk_in_bytes"] > 0 and capacity["max_containers"] > 0


def test_list_by_properties(lab: Lab) -> None:
    both = {"owner": "me", "what": "a & b"}
    first, second = lab.create(properties=both), lab.create(properties={"owner": "me"})
    assert set(lab.garden.containers({"owner": "me"})) == {first, second}
    assert lab.garden.containers(both) == [first]
    assert lab.garden.containers({"owner": "nobody"}) == []
    assert {first, second} <= set(lab.garden.containers())


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/containers/x/y/z"), ("PATCH", "/containers")])
def test_no_such_route(garden: Garden, method: str, path: str) -> None:
    sock, reply = garden.open(method, path, None, "")
    with sock, reply:
        assert reply.status in (404, 405)


# Create.


def test_a_handle_is_made_up(lab: Lab) -> None:
    first, second = lab.create(), lab.create(handle="")
    assert first and second and first != second
    assert {first, second} <= set(lab.garden.containers())


def test_a_handle_is_taken_once(lab: Lab) -> None:
    lab.create(handle="mine", properties={"n": "1"})
    assert "mine" in refused(lambda: lab.create(handle="mine", properties={"n": "2"})).message
    assert lab.garden.properties("mine") == {"n": "1"}
    assert lab.out("mine", "echo alive") == "alive"


@pytest.mark.parametrize("handle", ["x" * 300, "../../etc/passwd", "a/b", "a\0b", ".", "..", "a\nb"])
def test_a_handle_that_is_no_name(lab: Lab, handle: str) -> None:
    before = lab.garden.containers()
    refused(lambda: lab.create(handle=handle))
    assert lab.garden.containers() == before


@pytest.mark.parametrize("route", ["Create", *BODIES])
@pytest.mark.parametrize("body", [b'{"broken": ', b'"text"', b"[1, {}]", b"\xff\xfe"])
def test_a_body_that_is_not_what_it_should_be(shared: Shared, route: str, body: bytes) -> None:
    lab, handle = shared
    before = lab.garden.containers()
    refused(lambda: lab.garden.request(route, body, "application/json", handle=handle, key="k"))
    assert lab.garden.containers() == before
    assert "k" not in lab.garden.properties(handle)


@pytest.mark.parametrize(
    "uri",
    ["/no/such/path", "/etc/passwd", "ftp://host/image", "docker://10.0.2.2:1/none", "oci:/etc", "docker-archive:/etc",
     "docker://10.0.2.2:99999/none", "docker://UPPER/..:x", "relative/path"],
)  # fmt: skip
def test_a_root_that_is_none(lab: Lab, uri: str) -> None:
    before = lab.garden.containers()
    refused(lambda: lab.create(image={"uri": uri}))
    assert lab.garden.containers() == before


def test_root_from_a_folder_is_not_written_to(lab: Lab) -> None:
    for spec in ({"image": {"uri": lab.rootfs}}, {"rootfs": lab.rootfs}):
        handle = lab.create(**spec)
        assert lab.out(handle, "echo new > /new && cat /new") == "new"
    assert "new" not in lab.guest.out(f"ls {lab.rootfs}").split()
    assert lab.sh(lab.create(), "test -e /new").code == 1


@pytest.fixture(scope="module")
def saved(guest: Guest, box: str) -> str:
    """The box as Docker saves it: an archive, and the same unpacked, which is an OCI layout."""
    guest.ssh(
        f"tar -C {box} -c . | docker import -c 'ENV BOX=saved' - local/saved:1 && cd {BOX} && "
        "docker save -o saved.tar local/saved:1 && mkdir layout && tar -C layout -xf saved.tar && "
        "docker rmi local/saved:1"
    )
    return BOX


@pytest.mark.parametrize("form", ["docker-archive:{}/saved.tar", "oci:{}/layout"])
def test_root_from_a_file(lab: Lab, saved: str, form: str) -> None:
    handle = lab.create(image={"uri": form.format(saved)})
    assert lab.out(handle, "echo $BOX; id -u") == "saved\n0"


def test_root_from_a_registry(lab: Lab, images: Registry, guest: Guest) -> None:
    """Over plain HTTP only from a registry that the server was told of; an index gives the image for this machine."""
    address = f"{guest.facts['testnet']['host']}:{images.port}"
    refused(lambda: lab.create(image={"uri": f"docker://{address}/box"}))
    with lab.server_options(f"--insecure-docker-registry={address}"):
        for reference in ("box", "box:latest", "box#latest", "box:many"):
            handle = lab.create(image={"uri": f"docker://{address}/{reference}"})
            script = "echo $BOX; cat /etc/layer; test -e /etc/gone || echo gone"
            assert lab.out(handle, script) == "registry\nsecond\ngone", reference
        for reference in ("nothing", "box:nothing", "box#nothing", "box:other"):
            refused(lambda reference=reference: lab.create(image={"uri": f"docker://{address}/{reference}"}))  # type: ignore[misc]
        assert any("/v2/box/manifests/" in line for line in images.asked)


def test_environment(lab: Lab) -> None:
    handle = lab.create(env=["ONE=1", "TWO=two words"])
    assert lab.out(handle, 'echo "$ONE $TWO"') == "1 two words"
    assert lab.out(handle, 'echo "$ONE $TWO"', env=["TWO=2", "THREE=3"]) == "1 2"


def test_bind_mounts(lab: Lab) -> None:
    source = f"{BOX}/mounted"
    lab.guest.ssh(f"mkdir -p {source} && chmod 777 {source} && echo from outside > {source}/file")
    mounts = [
        {"src_path": source, "dst_path": "/default"},
        {"src_path": source, "dst_path": "/new/ro", "mode": api.RO, "origin": api.HOST},
        {"src_path": source, "dst_path": "/new/rw", "mode": api.RW, "origin": api.HOST},
        {"src_path": "/etc", "dst_path": "/new/etc", "mode": api.RO, "origin": api.CONTAINER},
    ]
    handle = lab.create(bind_mounts=mounts)
    for place in ("/default", "/new/ro", "/new/rw"):
        assert lab.out(handle, f"cat {place}/file") == "from outside"
    for place in ("/default", "/new/ro"):
        ran = lab.sh(handle, f"echo x > {place}/made")
        assert ran.code != 0 and "Read-only" in ran.stderr
    lab.out(handle, "echo from inside > /new/rw/made")
    assert lab.guest.out(f"cat {source}/made") == "from inside"
    assert lab.out(handle, "cat /new/etc/group") == lab.guest.out(f"cat {lab.rootfs}/etc/group")


@pytest.mark.parametrize(
    "mount",
    [{"src_path": "/no/such/source", "dst_path": "/d"}, {"src_path": "/etc", "dst_path": ""},
     {"src_path": "/etc", "dst_path": "/d", "mode": 7}, {"src_path": "/none", "dst_path": "/d", "origin": 1}],
)  # fmt: skip
def test_a_bind_mount_that_cannot_be(lab: Lab, mount: dict[str, Any]) -> None:
    before = lab.garden.containers()
    refused(lambda: lab.create(bind_mounts=[mount]))
    assert lab.garden.containers() == before


def test_privileged_or_not(lab: Lab) -> None:
    plain, privileged = lab.create(), lab.create(privileged=True)
    inside, outside, _ = lab.out(plain, "cat /proc/self/uid_map").split()[:3]
    assert inside == "0" and outside != "0"
    assert lab.out(privileged, "cat /proc/self/uid_map").split() == ["0", "0", str(2**32 - 1)]
    for handle in (plain, privileged):
        assert lab.out(handle, "id -u; stat -c %u:%a /etc/passwd /tmp") == "0\n0:644\n0:1777"
    assert lab.sh(plain, "mount -t tmpfs none /tmp").code != 0
    assert lab.sh(privileged, "mount -t tmpfs none /tmp && umount /tmp").code == 0


# Network.


def test_network_of_its_own(lab: Lab) -> None:
    first, second = lab.create(), lab.create()
    info = lab.garden.info(first)
    assert info["ContainerIP"] != address(lab, second) and info["HostIP"]
    # "If not specified, a /30 subnet is allocated from a default network pool."
    assert f"{info['ContainerIP']}/30" in lab.out(first, "ip -4 -o addr")
    assert lab.out(first, "ip route").startswith(f"default via {info['HostIP']} ")
    assert "127.0.0.1/8" in lab.out(first, "ip -4 -o addr show lo")


def test_static_address_and_range(lab: Lab) -> None:
    first = lab.create(network="10.253.0.10/24")
    second = lab.create(network="10.253.0.0/24")
    assert address(lab, first) == "10.253.0.10"
    assert address(lab, second).startswith("10.253.0.") and address(lab, second) != "10.253.0.10"
    assert int(address(lab, second).split(".")[3]) not in (0, 254, 255)
    # "Containers on the same subnet can communicate with each other over IP without restriction."
    lab.out(first, HTTPD, env=["HOSTNAME_OF=first"])
    assert lab.out(second, "wget -q -O - -T 10 http://10.253.0.10/") == "hello from first"
    assert "10.253.0.10" in refused(lambda: lab.create(network="10.253.0.10/24")).message
    refused(lambda: lab.create(network="10.253.0.0/25"))  # "overlaps (but does not equal) a subnet"


@pytest.mark.parametrize("network", ["nonsense", "10.1.1.1/33", "10.252.1.255/24", "10.252.1.254/24", "300.1.1.1/24"])
def test_an_address_that_cannot_be(lab: Lab, network: str) -> None:
    before = lab.garden.containers()
    refused(lambda: lab.create(network=network))
    assert lab.garden.containers() == before


def test_net_in(lab: Lab, guest: Guest) -> None:
    first, second = sorted(int(port) for port in guest.facts["published"] if port != "22")[:2]
    handle = lab.create(netin=[{"host_port": second, "container_port": 80}])
    assert lab.garden.net_in(handle, first, 80) == (first, 80)
    lab.out(handle, HTTPD, env=["HOSTNAME_OF=garden"])
    assert from_outside(guest, first) == from_outside(guest, second) == "hello from garden\n"
    assert lab.guest.out(f"curl -sS --max-time 10 http://{address(lab, handle)}/") == "hello from garden"
    mapped = [{"HostPort": port, "ContainerPort": 80} for port in (first, second)]
    assert sorted(lab.garden.info(handle)["MappedPorts"], key=lambda ports: int(ports["HostPort"])) == mapped


def test_net_in_chooses_ports(lab: Lab) -> None:
    handle = lab.create()
    chosen, inside = lab.garden.net_in(handle, container_port=80)
    assert chosen > 1024 and inside == 80
    both = lab.garden.net_in(handle)
    assert both[0] == both[1] != chosen
    refused(lambda: lab.garden.net_in(handle, 70000, 80))


def reach(lab: Lab, handle: str, guest: Guest, port: int, path: str = "/") -> bool:
    url = f"http://{guest.facts['testnet']['host']}:{port}{path}"
    return lab.sh(handle, f"wget -q -O - -T 4 {url}").code == 0


def test_net_out_when_all_is_allowed(lab: Lab, guest: Guest) -> None:
    """ "If the configuration directive deny_networks is not used, … this command is effectively a no-op." """
    handle = lab.create(netout_rules=[{"protocol": api.UDP}])
    assert reach(lab, handle, guest, guest.facts["testnet"]["http_port"])
    lab.garden.net_out(handle, {"protocol": api.ICMP, "icmps": {"type": 8, "code": 0}})
    lab.garden.bulk_net_out(handle, [])
    assert reach(lab, handle, guest, guest.facts["testnet"]["http_port"])


def test_net_out_when_all_is_denied(lab: Lab, guest: Guest, images: Registry) -> None:
    web, other = int(guest.facts["testnet"]["http_port"]), images.port
    there = {"start": guest.facts["testnet"]["host"], "end": guest.facts["testnet"]["host"]}
    with lab.server_options("--deny-network=0.0.0.0/0"):
        handle = lab.create()
        assert not reach(lab, handle, guest, web)
        lab.garden.net_out(handle, {"protocol": api.UDP, "networks": [there]})
        lab.garden.net_out(handle, {"protocol": api.TCP, "networks": [{"start": "10.9.0.1", "end": "10.9.0.9"}]})
        assert not reach(lab, handle, guest, web)
        lab.garden.net_out(handle, {"protocol": api.TCP, "networks": [there], "ports": [{"start": web, "end": web}]})
        assert reach(lab, handle, guest, web) and not reach(lab, handle, guest, other, "/v2/")
        low, high = max(1, other - 3), min(65535, other + 3)
        lab.garden.bulk_net_out(handle, [
            {"protocol": api.TCP, "networks": [there], "ports": [{"start": 1, "end": 2}, {"start": low, "end": high}]},
            {"protocol": api.ICMP, "networks": [there], "icmps": {"type": 8}},
        ])  # fmt: skip
        assert reach(lab, handle, guest, other, "/v2/")
        # Not another container's business; and a rule of the spec counts like one that comes later.
        assert not reach(lab, lab.create(), guest, web)
        allowed = lab.create(netout_rules=[{"protocol": api.ALL, "networks": [there], "log": True}])
        assert reach(lab, allowed, guest, web)
        lab.close()


@pytest.mark.parametrize(
    "rule",
    [{"protocol": 9}, {"networks": [{"start": "nonsense"}]}, {"protocol": 1, "ports": [{"start": 9, "end": 8}]},
     {"networks": [{"start": "10.0.0.9", "end": "10.0.0.1"}]}, {"protocol": 1, "ports": [{"start": 1, "end": 70000}]}],
)  # fmt: skip
def test_a_rule_that_is_none(shared: Shared, rule: dict[str, Any]) -> None:
    lab, handle = shared
    refused(lambda: lab.garden.net_out(handle, rule))
    refused(lambda: lab.garden.bulk_net_out(handle, [{"protocol": api.TCP}, rule]))


# Limits.


def test_limits(lab: Lab) -> None:
    asked = {
        "memory_limits": {"limit_in_bytes": 64 * MIB},
        "cpu_limits": {"limit_in_shares": 512},
        "disk_limits": {"byte_hard": 20 * MIB, "inode_hard": 5000},
        "pid_limits": {"max": 50},
        "bandwidth_limits": {"rate": 1000, "burst": 2000},
    }
    handle = lab.create(limits=asked)
    assert lab.garden.limits(handle, "memory") == {"limit_in_bytes": 64 * MIB}
    assert lab.garden.limits(handle, "cpu")["limit_in_shares"] == 512
    assert lab.garden.limits(handle, "disk")["byte_hard"] == 20 * MIB
    # No bandwidth is limited here, and the answer says so.
    assert not any(lab.garden.limits(handle, "bandwidth").values())
    with lab.start(handle, "exec sleep 86399"):
        pid = until(lambda: lab.guest.ssh("pgrep -xf 'sleep 86399'", check=False).stdout.strip())
        group = lab.guest.out(f"cut -d : -f 3 /proc/{pid}/cgroup").strip("/").split("/")
        places = [f"/sys/fs/cgroup/{'/'.join(group[:depth])}" for depth in range(len(group), 0, -1)]

        def values(name: str) -> list[str]:
            return lab.guest.ssh(f"cat {' '.join(f'{place}/{name}' for place in places)}", check=False).stdout.split()

        assert str(64 * MIB) in values("memory.max")
        # Room for the runtime's own helpers is allowed for.
        assert any(50 <= int(value) <= 60 for value in values("pids.max") if value.isdigit())
        assert set(values("cpu.weight")) - {"100"}
    assert lab.garden.metrics(handle)["PidStat"]["Max"] == 50


def test_no_limits(shared: Shared) -> None:
    lab, handle = shared
    for what in ("memory", "cpu", "disk", "bandwidth"):
        assert not any(lab.garden.limits(handle, what).values()), what


def test_pid_limit(lab: Lab) -> None:
    handle = lab.create(limits={"pid_limits": {"max": 20}})
    ran = lab.sh(handle, "i=0; while [ $i -lt 60 ]; do sleep 3 & i=$((i+1)); done; wait")
    assert "can't fork" in ran.stderr


# Info and metrics.


def test_info(lab: Lab) -> None:
    handle = lab.create(properties={"a": "1"})
    with lab.start(handle, "exec sleep 1000", id="sleeper"):
        info = lab.garden.info(handle)
        assert set(info) >= api.INFO_KEYS  # a client ignores keys that it does not know
        assert (info["State"], info["Events"] or [], info["Properties"]) == ("active", [], {"a": "1"})
        assert info["ProcessIDs"] == ["sleeper"] and not info["MappedPorts"]
        lab.guest.ssh(f"test -d {info['ContainerPath']}")


def test_bulk_info(lab: Lab) -> None:
    first, second = lab.create(), lab.create(properties={"n": "2"})
    entries = lab.garden.bulk_info([first, second, "nobody"])
    assert set(entries) == {first, second, "nobody"}
    assert entries[first]["Err"] is None and entries[first]["Info"] == lab.garden.info(first)
    assert entries[second]["Info"]["Properties"] == {"n": "2"}
    assert "nobody" in json.dumps(entries["nobody"]["Err"])
    assert lab.garden.bulk_info([]) == {}


def test_metrics(lab: Lab) -> None:
    handle = lab.create()
    before = lab.garden.metrics(handle)
    assert set(before) == api.METRICS_KEYS
    for part, keys in (("MemoryStat", api.MEMORY_KEYS), ("CPUStat", api.CPU_KEYS), ("DiskStat", api.DISK_KEYS),
                       ("NetworkStat", api.NETWORK_KEYS), ("PidStat", api.PID_KEYS)):  # fmt: skip
        assert set(before[part]) == keys, part
    url = f"http://{lab.guest.facts['testnet']['host']}:{lab.guest.facts['testnet']['http_port']}/"
    lab.out(handle, f"wget -q -O - {url}; dd if=/dev/zero of=/file bs=1M count=8; sync; i=0; "
                    "while [ $i -lt 20000 ]; do i=$((i+1)); done")  # fmt: skip
    with lab.start(handle, "exec sleep 1000"):
        after = lab.garden.metrics(handle)
        assert after["PidStat"]["Current"] >= 1
    assert after["CPUStat"]["Usage"] > before["CPUStat"]["Usage"]
    assert after["NetworkStat"]["RxBytes"] >= before["NetworkStat"]["RxBytes"] + 200
    assert after["NetworkStat"]["TxBytes"] >= before["NetworkStat"]["TxBytes"] + 200
    assert after["DiskStat"]["ExclusiveBytesUsed"] >= before["DiskStat"]["ExclusiveBytesUsed"] + 8 * MIB
    assert after["DiskStat"]["TotalBytesUsed"] >= after["DiskStat"]["ExclusiveBytesUsed"]
    assert after["MemoryStat"]["TotalUsageTowardLimit"] > 0
    assert after["Age"] > before["Age"] > 0


def test_bulk_metrics(lab: Lab) -> None:
    handle = lab.create()
    entries = lab.garden.bulk_metrics([handle, "nobody"])
    assert set(entries) == {handle, "nobody"}
    assert entries[handle]["Err"] is None and set(entries[handle]["Metrics"]) == api.METRICS_KEYS
    assert "nobody" in json.dumps(entries["nobody"]["Err"])


# Stop and destroy.


def test_stop(lab: Lab) -> None:
    handle = lab.create()
    lab.garden.stream_in(handle, "/tmp", tar_of(("file", "kept")))
    with lab.start(handle, "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done") as process:
        until(lambda: process.stdout)
        lab.garden.stop(handle)
        assert process.wait() == 3
    assert lab.garden.info(handle)["State"] == "stopped"
    # Garden's own server starts processes again; "It is possible to copy files in to and out of".
    assert lab.out(handle, "echo again") == "again"
    assert files_of(lab.garden.stream_out(handle, "/tmp/file")) == {"file": b"kept"}
    lab.garden.stream_in(handle, "/tmp", tar_of(("more", "more")))
    assert files_of(lab.garden.stream_out(handle, "/tmp/more")) == {"more": b"more"}


@pytest.mark.parametrize("kill", [True, False])
def test_stop_what_does_not_want_to(lab: Lab, kill: bool) -> None:
    """SIGKILL at once with `kill`, else after 10 seconds."""
    handle = lab.create()
    with lab.start(handle, "trap '' TERM; echo up; while :; do sleep 0.1; done") as process:
        until(lambda: process.stdout)
        lab.garden.stop(handle, kill=kill)
        assert process.wait() == 137


def test_destroy(lab: Lab) -> None:
    handle = lab.create(handle="short-lived")
    path = lab.garden.info(handle)["ContainerPath"]
    with lab.start(handle, "exec sleep 1000") as process:
        lab.garden.destroy(handle)
        assert process.wait() == 137
    assert handle not in lab.garden.containers()
    assert lab.guest.ssh(f"test -e {path}", check=False).returncode == 1
    assert refused(lambda: lab.garden.destroy(handle)).kind == "ContainerNotFoundError"
    lab.create(handle=handle)


def test_grace_time(lab: Lab) -> None:
    short, long, later = lab.create(grace_time=2 * api.SECOND), lab.create(grace_time=600 * api.SECOND), lab.create()
    until(lambda: short not in lab.garden.containers(), 60)
    lab.garden.set_grace_time(later, 2)
    until(lambda: later not in lab.garden.containers(), 60)
    assert long in lab.garden.containers()


# Unknown handles.


@pytest.mark.parametrize("route", [name for name, route in api.ROUTES.items() if ":handle" in route.path])
def test_unknown_handle(garden: Garden, route: str) -> None:
    values = {"handle": "nobody", "pid": "p", "streamid": "1", "key": "k"}
    if route == "StreamIn":
        error = refused(lambda: garden.stream_in("nobody", "/tmp", tar_of(("file", "x"))))
    elif route == "StreamOut":
        error = refused(lambda: garden.stream_out("nobody", "/tmp"))
    else:
        error = refused(lambda: garden.call(route, BODIES.get(route), None, **values))
    assert error.status == 404
    if route in ("Stdout", "Stderr"):
        return  # which error comes for a stream that is not there is not documented
    assert (error.kind, error.handle) == ("ContainerNotFoundError", "nobody")
    assert error.message == "unknown handle: nobody"


# Properties.


def test_properties(lab: Lab) -> None:
    handle = lab.create(properties={"first": "1"})
    for key, value in (("first", "one"), ("a b/ü?", 'quoted "text"\n'), ("empty", "")):
        lab.garden.set_property(handle, key, value)
        assert lab.garden.property(handle, key) == value
    assert lab.garden.properties(handle) == {"first": "one", "a b/ü?": 'quoted "text"\n', "empty": ""}
    lab.garden.remove_property(handle, "first")
    assert "first" not in lab.garden.properties(handle)
    assert "first" in refused(lambda: lab.garden.property(handle, "first")).message
    assert lab.garden.containers({"empty": ""}) == [handle]


# Files.


def test_files_in_and_out(lab: Lab) -> None:
    handle = lab.create()
    folder = special("folder", tarfile.DIRTYPE)
    folder.mode = 0o751
    lab.garden.stream_in(
        handle, "/new/place", tar_of(("file", "content"), folder, ("folder/inner", b"\0\xff" * 100_000),
                                     special("link", tarfile.SYMTYPE, "file"))
    )  # fmt: skip
    assert lab.out(handle, "cd /new/place && cat link && stat -c '%a %u %g' file folder") == "content640 0 0\n751 0 0"
    assert files_of(lab.garden.stream_out(handle, "/new/place/file")) == {"file": b"content"}
    for path in ("/new/place", "/new/place/"):
        streamed = files_of(lab.garden.stream_out(handle, path))
        out = {name.rpartition("place/")[2]: content for name, content in streamed.items()}
        assert (out["file"], out["link"], out["folder/inner"]) == (b"content", None, b"\0\xff" * 100_000)


def test_files_of_a_user(lab: Lab) -> None:
    handle = lab.create()
    lab.garden.stream_in(handle, f"/home/{USER}", tar_of(("mine", "x")), user=USER)
    assert lab.out(handle, f"stat -c '%u %g' /home/{USER}/mine") == f"{UID} {UID}"
    assert files_of(lab.garden.stream_out(handle, f"/home/{USER}/mine", user=USER)) == {"mine": b"x"}
    refused(lambda: lab.garden.stream_in(handle, "/tmp", tar_of(("x", "x")), user="nobody-here"))
    lab.out(handle, "echo secret > /etc/secret && chmod 600 /etc/secret")
    refused(lambda: lab.garden.stream_out(handle, "/etc/secret", user=USER))
    refused(lambda: lab.garden.stream_in(handle, "/etc", tar_of(("made", "x")), user=USER))


def test_files_that_are_none(lab: Lab) -> None:
    handle = lab.create()
    refused(lambda: lab.garden.stream_out(handle, "/no/such/file"))
    refused(lambda: lab.garden.stream_in(handle, "/tmp", b"this is no tar stream" * 100))
    refused(lambda: lab.garden.stream_in(handle, "/tmp", tar_of(("cut", b"x" * 5000))[:2000]))
    refused(lambda: lab.garden.stream_in(handle, "/etc/passwd/below", tar_of(("x", "x"))))


ESCAPES: dict[str, list[Entry]] = {
    "dots": [("../../../../../../../root/escaped", "x")],
    "absolute": [("/root/escaped", "x")],
    "absolute link": [special("link", tarfile.SYMTYPE, "/root"), ("link/escaped", "x")],
    "relative link": [special("link", tarfile.SYMTYPE, "../../../../../../../../root"), ("link/escaped", "x")],
    "hard link": [special("link", tarfile.LNKTYPE, "../../../../../../../../root/secret"), ("link", "escaped")],
    "overwritten link": [special("link", tarfile.SYMTYPE, "/root/secret"), ("link", "escaped")],
}


@pytest.mark.parametrize("privileged", [False, True])
def test_files_do_not_escape(lab: Lab, privileged: bool) -> None:
    handle = lab.create(privileged=privileged)
    lab.guest.ssh("rm -rf /root/escaped; echo outside > /root/secret")
    lab.out(handle, "ln -s /root /tmp/to-root; ln -s ../../../../../../root /tmp/dots; ln -s /root/secret /tmp/peek")
    places = ["/tmp/in", "/../../../../root", "/tmp/to-root", "/tmp/dots", "/proc/1/root/root", "/proc/self/cwd/root"]
    for entries in ESCAPES.values():
        for place in places if entries is ESCAPES["absolute"] else places[:1]:
            try:
                lab.garden.stream_in(handle, place, tar_of(*entries))
            except GardenError as error:
                assert error.message
    for path in ("/../../root/secret", "/tmp/to-root/secret", "/tmp/dots/secret", "/tmp/peek", "/tmp/in/link", "/tmp/"):
        try:
            assert b"outside" not in lab.garden.stream_out(handle, path)
        except GardenError as error:
            assert error.message
    assert lab.guest.out("cat /root/secret; ls -A /root | grep -c '^escaped' || true") == "outside\n0"
    lab.guest.ssh("rm /root/secret")


def test_a_device_in_a_tar_stream_opens_nothing(lab: Lab) -> None:
    handle = lab.create()
    with_device = tar_of(
        special("memory", tarfile.CHRTYPE, device=(1, 1)), special("disk", tarfile.BLKTYPE, device=(11, 0))
    )
    try:
        lab.garden.stream_in(handle, "/tmp", with_device)
    except GardenError as error:
        assert error.message
    for name in ("memory", "disk"):
        assert lab.sh(handle, f"dd if=/tmp/{name} of=/dev/null bs=1 count=1").code != 0


# Last: nothing was left out.


def test_every_route_was_taken_with_good_and_bad_input(garden: Garden, shared: Shared) -> None:
    lab, handle = shared
    with lab.start(handle, "read line; exit 4") as process, garden.attach(handle, process.id) as second:
        process.write("go\n")
        assert (second.wait(), process.wait()) == (4, 4)
    assert refused(lambda: garden.attach(handle, "nobody")).kind == "ProcessNotFoundError"
    good = {seen.route for seen in garden.seen if seen.status < 300}
    bad = {seen.route for seen in garden.seen if seen.status >= 400}
    assert set(api.ROUTES) - good == set()
    assert set(api.ROUTES) - bad - api.NO_ERRORS == set()
