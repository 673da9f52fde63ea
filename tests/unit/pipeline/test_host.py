"""What `doctor` says of a machine or a container in which no sandbox can be made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from photonbuild.pipeline.host import Host, read_host, sandbox_hints

NOTHING: dict[str, int | None] = {
    "apparmor_restrict_unprivileged_userns": None,
    "max_user_namespaces": 96365,
    "unprivileged_userns_clone": None,
}
PLAIN = Host(root=False, switches=NOTHING)
DOCKER = Host(
    root=True,
    seccomp=True,
    masked=("/proc/acpi", "/proc/bus", "/proc/sys"),
    admin=False,
    admin_bound=False,
    setuid_map=True,
    switches=NOTHING,
)
PIVOT = "cannot set up the sandbox: [Errno 1] pivot_root: Operation not permitted"
PROC = "cannot set up the sandbox: [Errno 1] mount proc proc on /proc: Operation not permitted"
MAP = "/etc/subuid: newuidmap failed: newuidmap: write to uid_map failed: Operation not permitted"
NONE = "cannot set up the sandbox: [Errno 0] a user namespace cannot be made"
UNSHARE = "cannot make a user namespace: [Errno 1] unshare: Operation not permitted"


@pytest.mark.parametrize(
    ("host", "error", "words"),
    [
        # The errors are those of the real thing under runc, with the flags named in docs/use/ci.md one by one.
        (DOCKER, NONE, ["seccomp=unconfined", "--cap-add SYS_ADMIN"]),
        (replace(DOCKER, admin=True, admin_bound=True), PIVOT, ["seccomp=unconfined"]),
        (replace(DOCKER, admin=True, admin_bound=True, seccomp=False), PROC, ["systempaths=unconfined"]),
        (replace(DOCKER, root=False), UNSHARE, ["seccomp=unconfined"]),
        (replace(DOCKER, root=False, seccomp=False), MAP, ["setcap cap_setuid=ep"]),
        (replace(DOCKER, admin=True, profile="docker-default (enforce)"), PROC, ["apparmor=unconfined"]),
        (replace(PLAIN, switches=NOTHING | {"max_user_namespaces": 0}), UNSHARE, ["user.max_user_namespaces=65536"]),
        (replace(PLAIN, switches=NOTHING | {"apparmor_restrict_unprivileged_userns": 1}), UNSHARE, ["apparmor"]),
        (replace(PLAIN, switches=NOTHING | {"unprivileged_userns_clone": 0}), UNSHARE, ["unprivileged_userns_clone=1"]),
    ],
)  # fmt: skip
def test_the_hint_is_the_flag_that_is_missing(host: Host, error: str, words: list[str]) -> None:
    hints = "\n".join(sandbox_hints(host, error))
    assert all(word in hints for word in words), hints
    assert ("docs/use/ci.md" in hints) == (host.seccomp or bool(host.masked))


def test_a_machine_without_fault_gets_no_hint() -> None:
    assert sandbox_hints(PLAIN, UNSHARE) == [] and sandbox_hints(replace(PLAIN, root=True), PROC) == []


def test_facts_are_read(tmp_path: Path) -> None:
    status = "Name:\tx\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a82425fb\nSeccomp:\t2\n"
    files = {
        "self/status": status,
        "self/attr/current": "docker-default (enforce)\n",
        "self/mounts": "proc /proc proc rw 0 0\ntmpfs /proc/acpi tmpfs ro 0 0\noverlay / overlay rw 0 0\n",
        "sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
        "sys/user/max_user_namespaces": "0\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    program = tmp_path / "newuidmap"
    program.touch(mode=0o755)
    program.chmod(0o4755)
    host = read_host(tmp_path, program)
    assert (host.seccomp, host.profile, host.masked) == (True, "docker-default (enforce)", ["/proc/acpi"])
    assert (host.admin, host.admin_bound, host.setuid_map) == (False, True, True)
    assert host.switches == {
        "apparmor_restrict_unprivileged_userns": 1,
        "max_user_namespaces": 0,
        "unprivileged_userns_clone": None,
    }


def test_facts_of_this_machine() -> None:
    host = read_host()
    assert host.switches["max_user_namespaces"] is not None
