"""Garden: the server answers on its socket, containers run, are reached and reach out, are limited, and leave nothing.

The requests are those of Garden's API (https://github.com/cloudfoundry/garden/blob/master/doc/garden-api.md), sent by
curl in the machine. A process is streamed over connections of its own: control messages, output, errors.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

from photonbuild.machines.guest import left_behind, traces

SOCKET = "/run/gdn/gdn.sock"
CURL = f"curl -sS --max-time 60 --unix-socket {SOCKET} -H 'Content-Type: application/json'"
SERVER = "echo hello from garden > /www/index.html; httpd -p 80 -h /www"

# HTTP/1.0: curl takes the stream for chunks where the head says so, as it does to a client of HTTP/1.1, which hijacks.
RUN = r"""
folder=$(mktemp -d); url={url}
{curl} -N --http1.0 -d {spec} $url > $folder/control & curl=$!
for try in $(seq 300); do grep -q '"stream_id"' $folder/control && break; kill -0 $curl || break; sleep 0.1; done
of() {{ sed -n '1s/.*"'$1'":"\([^"]*\)".*/\1/p' $folder/control; }}
stream=$url/$(of process_id)/attaches/$(of stream_id)
{curl} -N --http1.0 $stream/stdout > $folder/stdout & {curl} -N --http1.0 $stream/stderr > $folder/stderr
wait; cat $folder/stdout; cat $folder/stderr $folder/control >&2; rm -r $folder
"""


def call(host: Host, method: str, path: str, value: Any = None) -> Any:
    """One request; the JSON value of its answer, which must be a good one."""
    body = "" if value is None else f"-d {shlex.quote(json.dumps(value))}"
    text, _, status = host.check_output(
        f"{CURL} -X {method} -w '\n%{{http_code}}' {body} http://garden{path}"
    ).rpartition("\n")
    assert status == "200", text
    return json.loads(text)


def run(host: Host, handle: str, script: str) -> tuple[str, int]:
    """Run a shell script in a container: its output and its exit code."""
    spec = json.dumps({"path": "/bin/sh", "args": ["-c", script], "user": "root"})
    url = f"http://garden/containers/{handle}/processes"
    done = host.run(RUN.format(curl=CURL, spec=shlex.quote(spec), url=url))
    exit_status = re.search(r'"exit_status":(\d+)', done.stderr)
    assert exit_status, done.stderr
    return done.stdout, int(exit_status[1])


def start_web_server(host: Host, facts: dict[str, Any], box: str, port: int, script: str) -> None:
    create(host, box, handle="side", netin=[{"host_port": port, "container_port": 80}])
    process = shlex.quote(json.dumps({"path": "/bin/sh", "args": ["-c", script]}))
    # The answer lasts as long as the process, and the process stays when the client goes.
    url = "http://garden/containers/side/processes"
    host.check_output(f"{CURL} -N --http1.0 -d {process} {url} </dev/null >/dev/null 2>&1 &")


def stop_web_server(host: Host) -> None:
    call(host, "DELETE", "/containers/side")


def create(host: Host, box: str, **spec: Any) -> str:
    created = call(host, "POST", "/containers", {"image": {"uri": box}, **spec})
    return str(created["handle"])


@pytest.fixture(scope="module")
def before(host: Host, facts: dict[str, Any], box: str) -> Counter[str]:
    """What is there when containers have come and gone: the first one makes the slice and chains that all share."""
    call(host, "DELETE", f"/containers/{create(host, box)}")
    return traces(facts["ssh_config"])


@pytest.fixture(scope="module")
def container(host: Host, box: str, before: Counter[str]) -> Iterator[str]:
    """A container shared by the tests of this module."""
    handle = create(host, box, handle="check", properties={"owner": "check"})
    yield handle
    if handle in call(host, "GET", "/containers")["handles"]:
        call(host, "DELETE", f"/containers/{handle}")


def test_unit(host: Host, facts: dict[str, Any]) -> None:
    assert host.check_output(f"systemctl is-active {facts['runtimes']['garden']['unit']}") == "active"
    assert call(host, "GET", "/ping") == {}


def test_version_says_what_it_is(host: Host) -> None:
    text = host.check_output("gdn version")
    assert re.search(r"independent implementation", text, re.IGNORECASE)
    assert "Garden" in text and re.search(r"\d+\.\d+", text)


def test_only_root_can_talk_to_it(host: Host) -> None:
    assert host.check_output(f"stat -c %U {SOCKET}") == "root"
    assert int(host.check_output(f"stat -c %a {SOCKET}"), 8) & 0o007 == 0
    refused = host.run(f"runuser -u nobody -- curl -sS --unix-socket {SOCKET} http://garden/ping")
    assert refused.rc != 0


def test_it_runs_and_returns_the_exit_code(host: Host, container: str) -> None:
    assert run(host, container, "echo it runs") == ("it runs\n", 0)
    assert run(host, container, "echo it fails; exit 7") == ("it fails\n", 7)


def test_root_inside_is_nobody_outside(host: Host, container: str) -> None:
    output, code = run(host, container, "cat /proc/self/uid_map")
    inside, outside, _ = output.split()[:3]
    assert (code, inside) == (0, "0") and outside != "0"


def test_list_by_property(host: Host, container: str) -> None:
    assert call(host, "GET", "/containers?owner=check")["handles"] == [container]
    assert call(host, "GET", "/containers?owner=other")["handles"] == []


def test_published_port_from_outside(host: Host, container: str, ports: list[int], fetch: Callable[..., str]) -> None:
    mapped = call(host, "POST", f"/containers/{container}/net/in", {"host_port": ports[0], "container_port": 80})
    assert (mapped["host_port"], mapped["container_port"]) == (ports[0], 80)
    assert run(host, container, SERVER) == ("", 0)
    assert fetch() == "hello from garden\n"


def test_outside_server(host: Host, container: str, facts: dict[str, Any]) -> None:
    script = f"wget -q -O - -T 20 http://{facts['testnet']['host']}:{facts['testnet']['http_port']}/"
    assert run(host, container, script) == (f"{facts['testnet']['token']}\n", 0)


def test_memory_limit_kills(host: Host, box: str, before: Counter[str]) -> None:
    handle = create(host, box, handle="hog", limits={"memory_limits": {"limit_in_bytes": 64 << 20}})
    assert call(host, "GET", f"/containers/{handle}/limits/memory") == {"limit_in_bytes": 64 << 20}
    assert run(host, handle, "tail /dev/zero & wait $!")[1] == 137
    assert "oom" in call(host, "GET", f"/containers/{handle}/info")["Events"]
    call(host, "DELETE", f"/containers/{handle}")


def test_the_server_restarts_under_a_live_container(
    host: Host, container: str, facts: dict[str, Any], fetch: Callable[..., str]
) -> None:
    unit = facts["runtimes"]["garden"]["unit"]
    server = host.check_output(f"systemctl show -P MainPID {unit}")
    host.check_output(f"systemctl restart {unit}")
    assert host.check_output(f"systemctl show -P MainPID {unit}") != server
    assert call(host, "GET", "/containers")["handles"] == [container]
    assert fetch() == "hello from garden\n"
    assert run(host, container, "pidof httpd >/dev/null && echo alive") == ("alive\n", 0)


def test_destroy_leaves_nothing(host: Host, container: str, facts: dict[str, Any], before: Counter[str]) -> None:
    call(host, "DELETE", f"/containers/{container}")
    assert call(host, "GET", "/containers")["handles"] == []
    assert left_behind(facts["ssh_config"], before) == []
