"""Garden's API as data: routes, keys and example messages, each transcribed from its documentation and cited.

Everything here is from the public repository cloudfoundry/garden, by file and commit; nothing is from a server of ours.

API: the routes and examples of ``doc/garden-api.md``; GO: doc comments and JSON keys of the public Go interface, which
README.md calls the canonical API; WIRE: the messages that the documented client and its tests exchange with a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

API = "doc/garden-api.md @ e12fd8beb5f8daf335d98cc9c523b4fda58ec047"
API_LONG = "doc/garden-api.md @ 0641f07047323d5dab4c6809533487a121735e20"
ROUTES_GO = "routes/routes.go @ 66dfda27625680cbe8c9d864392426f452aa0cf6"
CLIENT_GO = "client.go @ f395c3c0159e69804bbc3480e298a44e757504d5"
CONTAINER_GO = "container.go @ f86ad624e7c8a5c345eb325120b1f9a299aef7b3"
NET_OUT_GO = "net_out_rule.go @ 491838e5ca0410322926fb9385c666658b47d254"
ERRORS_GO = "errors.go @ adab62e9fa598ebeb23e56745647d34e2f3f7dc7"
PAYLOAD_GO = "transport/payload.go @ c7ed40f0b983c8d082dcdfc3dcd5adfa1020195f"
WIRE = "client/connection/connection_test.go @ 66dfda27625680cbe8c9d864392426f452aa0cf6"

SECOND = 1_000_000_000  # durations are Go's time.Duration: nanoseconds (CLIENT_GO, ContainerSpec.GraceTime)


@dataclass(frozen=True)
class Route:
    """One route: `method` and `path`, in which ``:name`` stands for a value."""

    method: str
    path: str


# ROUTES_GO, Routes: all of them.
ROUTES: Mapping[str, Route] = {
    "Ping": Route("GET", "/ping"),
    "Capacity": Route("GET", "/capacity"),
    "List": Route("GET", "/containers"),
    "Create": Route("POST", "/containers"),
    "Info": Route("GET", "/containers/:handle/info"),
    "BulkInfo": Route("GET", "/containers/bulk_info"),
    "BulkMetrics": Route("GET", "/containers/bulk_metrics"),
    "Destroy": Route("DELETE", "/containers/:handle"),
    "Stop": Route("PUT", "/containers/:handle/stop"),
    "StreamIn": Route("PUT", "/containers/:handle/files"),
    "StreamOut": Route("GET", "/containers/:handle/files"),
    "CurrentBandwidthLimits": Route("GET", "/containers/:handle/limits/bandwidth"),
    "CurrentCPULimits": Route("GET", "/containers/:handle/limits/cpu"),
    "CurrentDiskLimits": Route("GET", "/containers/:handle/limits/disk"),
    "CurrentMemoryLimits": Route("GET", "/containers/:handle/limits/memory"),
    "NetIn": Route("POST", "/containers/:handle/net/in"),
    "NetOut": Route("POST", "/containers/:handle/net/out"),
    "BulkNetOut": Route("POST", "/containers/:handle/net/out/bulk"),
    "Stdout": Route("GET", "/containers/:handle/processes/:pid/attaches/:streamid/stdout"),
    "Stderr": Route("GET", "/containers/:handle/processes/:pid/attaches/:streamid/stderr"),
    "Run": Route("POST", "/containers/:handle/processes"),
    "Attach": Route("GET", "/containers/:handle/processes/:pid"),
    "SetGraceTime": Route("PUT", "/containers/:handle/grace_time"),
    "Properties": Route("GET", "/containers/:handle/properties"),
    "Property": Route("GET", "/containers/:handle/properties/:key"),
    "SetProperty": Route("PUT", "/containers/:handle/properties/:key"),
    "RemoveProperty": Route("DELETE", "/containers/:handle/properties/:key"),
    "Metrics": Route("GET", "/containers/:handle/metrics"),
}

# CLIENT_GO, Client.Capacity and Client.Containers: "Errors: None."
NO_ERRORS = {"Ping", "Capacity", "List", "BulkInfo", "BulkMetrics"}

# CONTAINER_GO, ContainerInfo, Metrics and their parts: keys of the answers.
INFO_KEYS = {
    "State", "Events", "HostIP", "ContainerIP", "ExternalIP", "ContainerPath", "ProcessIDs", "Properties",
    "MappedPorts",
}  # fmt: skip
METRICS_KEYS = {"MemoryStat", "CPUStat", "DiskStat", "NetworkStat", "PidStat", "Age", "CPUEntitlement"}
CPU_KEYS = {"Usage", "User", "System"}
DISK_KEYS = {"TotalBytesUsed", "TotalInodesUsed", "ExclusiveBytesUsed", "ExclusiveInodesUsed"}
NETWORK_KEYS = {"RxBytes", "TxBytes"}
PID_KEYS = {"Current", "Max"}
MEMORY_KEYS = {
    "anon", "file", "swapcached",
    "active_anon", "active_file", "cache", "hierarchical_memory_limit", "inactive_anon", "inactive_file", "mapped_file",
    "pgfault", "pgmajfault", "pgpgin", "pgpgout", "rss", "total_active_anon", "total_active_file", "total_cache",
    "total_inactive_anon", "total_inactive_file", "total_mapped_file", "total_pgfault", "total_pgmajfault",
    "total_pgpgin", "total_pgpgout", "total_rss", "total_unevictable", "unevictable", "swap",
    "hierarchical_memsw_limit", "total_swap", "TotalUsageTowardLimit",
}  # fmt: skip
# CLIENT_GO, Capacity.
CAPACITY_KEYS = {"memory_in_bytes", "disk_in_bytes", "schedulable_disk_in_bytes", "max_containers"}

# CLIENT_GO, BindMountMode and BindMountOrigin; NET_OUT_GO, Protocol; CONTAINER_GO, Signal; PAYLOAD_GO, Source.
RO, RW = 0, 1
HOST, CONTAINER = 0, 1
ALL, TCP, UDP, ICMP = 0, 1, 2, 3
TERMINATE, KILL = 0, 1
STDIN, STDOUT, STDERR = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A call of the client by name and arguments; what it sends; what comes back; what it makes of that."""

    call: str
    arguments: tuple[Any, ...] = ()
    method: str
    target: str
    sent: Any = None
    reply: Any = None
    result: Any = None
    source: str


INFO = {
    "State": "chilling out",
    "Events": ["maxing", "relaxing all cool"],
    "HostIP": "host-ip",
    "ContainerIP": "container-ip",
    "ExternalIP": "",
    "ContainerPath": "container-path",
    "ProcessIDs": ["process-handle-1", "process-handle-2"],
    "Properties": {"prop-key": "prop-value"},
    "MappedPorts": [{"HostPort": 1234, "ContainerPort": 5678}, {"HostPort": 1235, "ContainerPort": 5679}],
}
BULK = {
    "error": {"Err": {"Type": "", "Message": "Oopps", "Handle": "", "ProcessID": "", "Binary": ""}},
    "success": {"Info": {"State": "container2state"}, "Err": None},
}
FULL_SPEC = {
    "handle": "some-handle",
    "grace_time": 10 * SECOND,
    "rootfs": "some-rootfs-path",
    "network": "some-network",
    "bind_mounts": [
        {"src_path": "/src-a", "dst_path": "/dst-a", "mode": RO, "origin": HOST},
        {"src_path": "/src-b", "dst_path": "/dst-b", "mode": RW, "origin": CONTAINER},
    ],
    "properties": {"foo": "bar"},
    "env": ["env1=env1Value1"],
}
NET_OUT_RULE = {
    "protocol": ICMP,
    "networks": [{"start": "1.2.3.4", "end": "1.2.3.4"}],
    "ports": [{"start": 2, "end": 2}, {"start": 4, "end": 4}],
    "icmps": {"type": 3, "code": 3},
    "log": True,
}
FOO = "/containers/foo-handle"

EXCHANGES = (
    Exchange(call="ping", method="GET", target="/ping", reply={}, source=f"{WIRE}, Ping"),
    Exchange(
        call="capacity", method="GET", target="/capacity",
        reply={"memory_in_bytes": 1111, "disk_in_bytes": 2222, "max_containers": 42},
        result={"memory_in_bytes": 1111, "disk_in_bytes": 2222, "max_containers": 42},
        source=f"{WIRE}, Getting capacity; {API}, Capacity",
    ),
    Exchange(
        call="containers", arguments=({"prop2": "bar", "prop1": "bing"},), method="GET",
        target="/containers?prop2=bar&prop1=bing", reply={"handles": ["match-1", "match-2"]},
        result=["match-1", "match-2"], source=f"{API}, List Containers",
    ),
    Exchange(
        call="create", arguments=(FULL_SPEC,), method="POST", target="/containers", sent=FULL_SPEC,
        reply={"handle": "foohandle"}, result="foohandle", source=f"{WIRE}, Creating; {CLIENT_GO}, ContainerSpec",
    ),
    Exchange(
        call="destroy", arguments=("foo",), method="DELETE", target="/containers/foo", reply={},
        source=f"{WIRE}, Destroying; {API}, Destroy a Container",
    ),
    Exchange(
        call="stop", arguments=("foo", True), method="PUT", target="/containers/foo/stop", sent={"kill": True},
        reply={}, source=f"{WIRE}, Stopping; {API}, Stop a Container",
    ),
    Exchange(
        call="limits", arguments=("foo", "memory"), method="GET", target="/containers/foo/limits/memory",
        reply={"limit_in_bytes": 40}, result={"limit_in_bytes": 40}, source=f"{WIRE}, getting memory limits",
    ),
    Exchange(
        call="limits", arguments=("foo", "cpu"), method="GET", target="/containers/foo/limits/cpu",
        reply={"limit_in_shares": 40}, result={"limit_in_shares": 40}, source=f"{WIRE}, getting cpu limits",
    ),
    Exchange(
        call="limits", arguments=("foo", "bandwidth"), method="GET", target="/containers/foo/limits/bandwidth",
        reply={"rate": 1, "burst": 2}, result={"rate": 1, "burst": 2}, source=f"{WIRE}, getting bandwidth limits",
    ),
    Exchange(
        call="net_in", arguments=("foo-handle", 8080, 8081), method="POST", target=f"{FOO}/net/in",
        sent={"handle": "foo-handle", "host_port": 8080, "container_port": 8081},
        reply={"host_port": 1234, "container_port": 1235}, result=(1234, 1235), source=f"{WIRE}, NetIn; {PAYLOAD_GO}",
    ),
    Exchange(
        call="net_out", arguments=("foo-handle", NET_OUT_RULE), method="POST", target=f"{FOO}/net/out",
        sent=NET_OUT_RULE, reply={}, source=f"{WIRE}, NetOut; {NET_OUT_GO}, NetOutRule",
    ),
    Exchange(
        call="bulk_net_out", arguments=("foo-handle", [NET_OUT_RULE]), method="POST", target=f"{FOO}/net/out/bulk",
        sent=[NET_OUT_RULE], reply={}, source=f"{ROUTES_GO}, BulkNetOut; {CONTAINER_GO}, Container.BulkNetOut",
    ),
    Exchange(
        call="properties", arguments=("foo-handle",), method="GET", target=f"{FOO}/properties",
        reply={"foo": "bar"}, result={"foo": "bar"}, source=f"{WIRE}, Getting container properties",
    ),
    Exchange(
        call="property", arguments=("foo-handle", "property_name"), method="GET",
        target=f"{FOO}/properties/property_name", reply={"value": "property_value"}, result="property_value",
        source=f"{WIRE}, Get container property",
    ),
    Exchange(
        call="info", arguments=("some-handle",), method="GET", target="/containers/some-handle/info", reply=INFO,
        result=INFO, source=f"{WIRE}, Getting container info",
    ),
    Exchange(
        call="bulk_info", arguments=(["handle1", "handle2"],), method="GET",
        target="/containers/bulk_info?handles=handle1%2Chandle2", reply=BULK, result=BULK, source=f"{WIRE}, BulkInfo",
    ),
    Exchange(
        call="bulk_metrics", arguments=(["handle1", "handle2"],), method="GET",
        target="/containers/bulk_metrics?handles=handle1%2Chandle2",
        reply={"handle1": {"Metrics": {"DiskStat": {"TotalInodesUsed": 4}}, "Err": None}},
        result={"handle1": {"Metrics": {"DiskStat": {"TotalInodesUsed": 4}}, "Err": None}},
        source=f"{WIRE}, BulkMetrics",
    ),
    Exchange(
        call="set_grace_time", arguments=("foo-handle", 5.0), method="PUT", target=f"{FOO}/grace_time",
        sent=5 * SECOND, reply={}, source=f"{WIRE}, Setting the grace time",
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An answer that is an error: status and body, and the type and message that a client reports."""

    status: int
    body: str
    kind: str
    message: str
    source: str


FAILURES = (
    Failure(
        status=404, body='{ "Type": "ContainerNotFoundError", "Handle" : "some handle"}',
        kind="ContainerNotFoundError", message="unknown handle: some handle", source=f"{WIRE}, Destroying; {ERRORS_GO}",
    ),
    Failure(
        status=404, body='{"Type":"ProcessNotFoundError","Message":"","Handle":"","ProcessID":"idiot","Binary":""}',
        kind="ProcessNotFoundError", message="unknown process: idiot", source=f"{ERRORS_GO}, ProcessNotFoundError",
    ),
    Failure(
        status=504, body='{ "Type": "ServiceUnavailableError" , "Message": "Special Error Message"}',
        kind="ServiceUnavailableError", message="Special Error Message", source=f"{WIRE}, Ping",
    ),
    Failure(
        status=504, body='{ "Type": "UnrecoverableError" , "Message": "Extra Special Error Message"}',
        kind="UnrecoverableError", message="Extra Special Error Message", source=f"{WIRE}, Ping",
    ),
    Failure(
        status=500, body='{"Type":"ExecutableNotFoundError","Message":"no such file"}',
        kind="ExecutableNotFoundError", message="no such file", source=f"{ERRORS_GO}, ExecutableNotFoundError",
    ),
    Failure(status=500, body='{"Type":"","Message":"Oopps"}', kind="", message="Oopps", source=f"{ERRORS_GO}, Error"),
    Failure(status=500, body="no.", kind="", message="no.", source=f"{WIRE}, Streaming in"),
)  # fmt: skip

# WIRE, Running and Attaching: the control connection of a process.
STARTED = {"process_id": "process-handle", "stream_id": "123"}
WRITTEN = {"process_id": "process-handle", "source": STDIN, "data": "stdin data"}
CLOSED = {"process_id": "process-handle", "source": STDIN}
TERMINATED = {"process_id": "process-handle", "signal": TERMINATE}
RESIZED = {"process_id": "process-handle", "tty": {"window_size": {"columns": 80, "rows": 24}}}
EXITED = {"process_id": "process-handle", "exit_status": 3}
FAILED = {"process_id": "process-handle", "error": "oh no!"}
