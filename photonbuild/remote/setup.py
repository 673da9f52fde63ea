"""What a machine needs to be a worker, as files: settings of Buildbarn, units of systemd, a manifest for Kubernetes.

Pure: a mapping of names to texts. A worker is an ordinary user with sub-ids; what it keeps is bounded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from photonbuild.remote import buildbarn

ETC = "/etc/photonbuild-worker"
POD = 'std.extVar("POD")'
# No Protect… of systemd: what masks a part of /proc keeps the sandbox from mounting one of its own.
UNIT = """\
[Unit]
Description={what}
After=network-online.target{after}
Wants=network-online.target
{requires}
[Service]
Type=exec
User={user}
ExecStart={program} {settings}
WorkingDirectory={folder}
Restart=always
RestartSec=5
# newuidmap(1) gives the sandboxes of builds their ids.
NoNewPrivileges=no
TasksMax=infinity
LimitNOFILE=65536
OOMPolicy=continue

[Install]
WantedBy=multi-user.target
"""
INSTALL = """\
#!/bin/sh
# Makes this machine a worker, or gives it other settings: to be run as root, as often as one likes.
set -eu
cd "$(dirname "$0")"
for program in python3 tar zstd newuidmap {programs}/bb_runner {programs}/bb_worker; do
    command -v $program >/dev/null || {{ echo "missing: $program" >&2; exit 1; }}
done
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
id {user} >/dev/null 2>&1 || useradd --system --user-group --add-subids-for-system \\
    --home-dir {folder} --shell /usr/sbin/nologin {user}
for file in /etc/subuid /etc/subgid; do
    grep -q '^{user}:' $file || {{ echo "{user} has no range in $file: see usermod(8), --add-subuids" >&2; exit 1; }}
done
install -d -o {user} -g {user} -m 0755 {folder} {folders}
install -d -m 0755 {etc}
install -m 0644 worker.json runner.json {etc}/
install -m 0644 photonbuild-runner.service photonbuild-worker.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable photonbuild-runner.service photonbuild-worker.service
systemctl restart photonbuild-runner.service photonbuild-worker.service
"""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker that is to be. `storage` and `scheduler`: host:port; `authority`: the certificates that they must come
    from (PEM), with `certificate` and `key` the worker's own files on its machine.

    `slots`: builds at once; `cache_gib` and `files_gib`: the bounds of what it keeps: unpacked, and as it was fetched.
    """

    storage: str
    scheduler: str
    name: str
    folder: Path = Path("/var/lib/photonbuild-worker")
    programs: Path = Path("/usr/local/bin")
    user: str = "photonbuild-worker"
    slots: int = 1
    cache_gib: int = 40
    files_gib: int = 10
    platform: Mapping[str, str] = field(default_factory=dict)
    authority: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    image: str = "registry.example.org/photonbuild-worker:1"


def files(worker: Worker) -> dict[str, str]:
    """File name → text."""
    return {
        "worker.json": _json(_settings(worker)),
        "runner.json": _json(buildbarn.runner(worker.folder)),
        "photonbuild-worker.service": _unit(
            worker, "photonbuild-worker", "bb_worker", "worker.json", after="photonbuild-runner.service"
        ),
        "photonbuild-runner.service": _unit(worker, "photonbuild-runner", "bb_runner", "runner.json"),
        "install.sh": INSTALL.format(
            programs=worker.programs,
            user=worker.user,
            folder=worker.folder,
            folders=" ".join(str(path) for path in buildbarn.worker_folders(worker.folder)),
            etc=ETC,
        ),
        "kubernetes.yaml": yaml.safe_dump_all(json.loads(json.dumps(_kubernetes(worker))), sort_keys=False),
    }


def engine_files(folder: Path, *, host: str, size: int) -> dict[str, str]:
    """Settings of a storage and a scheduler without encryption or passwords, to try things on one network."""
    storage, clients, workers = f"{host}:8980", f"{host}:8982", f"{host}:8983"
    return {
        "storage.json": _json(
            buildbarn.storage(folder, [buildbarn.server(":8980")], scheduler={"address": clients}, size=size)
        ),
        "scheduler.json": _json(
            buildbarn.scheduler(
                buildbarn.server(f":{clients.rpartition(':')[2]}"),
                buildbarn.server(f":{workers.rpartition(':')[2]}"),
                storage={"address": storage},
            )
        ),
    }


def _settings(worker: Worker) -> dict[str, Any]:
    def to(address: str) -> dict[str, Any]:
        return buildbarn.client(address, authority=worker.authority, certificate=worker.certificate, key=worker.key)

    return buildbarn.worker(
        worker.folder,
        storage=to(worker.storage),
        scheduler=to(worker.scheduler),
        name=worker.name,
        slots=worker.slots,
        platform=worker.platform,
        files=worker.files_gib << 30,
        cache=worker.cache_gib,
    )


def _unit(worker: Worker, unit: str, program: str, settings: str, *, after: str = "") -> str:
    return UNIT.format(
        what=f"{unit}: builds packages for others ({program})",
        after=f" {after}" if after else "",
        requires=f"Requires={after}\n" if after else "",
        user=worker.user,
        program=worker.programs / program,
        settings=f"{ETC}/{settings}",
        folder=worker.folder,
    )


def _kubernetes(worker: Worker) -> list[dict[str, Any]]:
    """A ConfigMap and a Deployment: both programs in one pod, over one folder that goes with it."""
    labels = {"app": "photonbuild-worker"}
    mounts = [{"name": "work", "mountPath": str(worker.folder)}, {"name": "settings", "mountPath": ETC}]
    make = f"mkdir -p {' '.join(map(str, buildbarn.worker_folders(worker.folder)))}"
    # A sandbox needs a /proc of which nothing is masked, and the right to mount: in the pod's own user namespace.
    free = {
        "capabilities": {"add": ["SYS_ADMIN"]},
        "procMount": "Unmasked",
        "seccompProfile": {"type": "Unconfined"},
        "appArmorProfile": {"type": "Unconfined"},
    }
    size = worker.cache_gib + worker.files_gib + 40 * worker.slots

    def container(name: str, program: str, settings: str, **more: Any) -> dict[str, Any]:
        command = ["sh", "-c", f"{make} && exec {program} {ETC}/{settings}"]
        return {"name": name, "image": worker.image, "command": command, "volumeMounts": mounts, **more}

    # No two workers may have one name: Buildbarn's settings are Jsonnet, which reads the environment.
    settings = _json(_settings(worker)).replace(json.dumps({"name": worker.name})[1:-1], f'"name": {POD}')
    where = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    pod = {
        "hostUsers": False,
        "terminationGracePeriodSeconds": 30,
        "containers": [
            container("worker", "bb_worker", "worker.jsonnet", env=where),
            container("runner", "bb_runner", "runner.json", securityContext=free),
        ],
        "volumes": [
            {"name": "work", "emptyDir": {"sizeLimit": f"{size}Gi"}},
            {"name": "settings", "configMap": {"name": "photonbuild-worker"}},
        ],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "photonbuild-worker"},
            "data": {"worker.jsonnet": settings, "runner.json": _json(buildbarn.runner(worker.folder))},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "photonbuild-worker", "labels": labels},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
