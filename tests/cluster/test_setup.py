"""Buildbarn's own programs take what `photonbuild worker setup` writes, and a worker of it builds."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from photonbuild.remote import buildbarn, setup
from tests.cluster.conftest import Client
from tests.integration.conftest import PROJECT, make_checkout
from tests.support.cluster import SCHEDULER_WORKERS, STORAGE, Program, cluster

FIRST_ID = 300_000  # here, of the ids of a pod


def test_a_pod(programs: Path, place: Path, tmp_path: Path, seeded_store: Path) -> None:
    """Both containers of the manifest with the ids and capabilities that it gives them, which have to be enough.

    The settings are those for pods, which read the name from the environment.
    """
    with cluster(programs, place / "set-up") as made:
        made.start_storage()
        made.start_scheduler()
        folder = made.folder / "home"
        folder.mkdir()
        os.chown(folder, FIRST_ID, FIRST_ID)
        host = made.network.address()
        worker = setup.Worker(
            storage=f"{host}:{STORAGE + 1}", scheduler=f"{host}:{SCHEDULER_WORKERS}", name="pod", folder=folder
        )
        settings, deployment = yaml.safe_load_all(setup.files(worker)["kubernetes.yaml"])
        (made.folder / "settings").mkdir()
        for name, text in settings["data"].items():
            (made.folder / "settings" / name).write_text(text, encoding="utf-8")
        pod = deployment["spec"]["template"]["spec"]
        assert pod["hostUsers"] is False
        for container in reversed(pod["containers"]):
            name = container["name"]
            argv = as_container(container, programs, made.folder / "settings")
            environment = {"POD": "ada-1", "PYTHONPATH": str(PROJECT)}
            made.running[name] = Program(name, argv, made.folder / f"{name}.log", environment)
            made.running[name].start()
        client = Client(make_checkout(tmp_path / "client", seeded_store), made.address)
        assert "1 builds by 1 workers" in client.build("mini-data")
        log = (client.checkout.store / "logs" / "mini-data.log").read_text(encoding="utf-8")
        assert "# on worker ada-1" in log


def as_container(container: dict[str, Any], programs: Path, settings: Path) -> list[str]:
    """The command of a container of the manifest, in a pod's namespaces."""
    added = container.get("securityContext", {}).get("capabilities", {}).get("add", [])
    shell, option, text = container["command"]
    text = text.replace("exec bb_", "exec /opt/bb_").replace(setup.ETC, str(settings))
    # The programs may be in a folder of root's alone.
    mounts = ["unshare", "--mount", "sh", "-euc", 'mount --bind "$0" /opt; exec "$@"', str(programs)]
    pod = [sys.executable, "-m", "tests.support.pod", str(FIRST_ID), ",".join(added)]
    return [*mounts, *pod, shell, option, text]


def test_storage_and_scheduler_as_they_are_set_up(programs: Path, place: Path) -> None:
    with cluster(programs, place / "tried") as made:
        found = setup.engine_files(made.folder / "storage", host="127.0.0.1", size=1 << 30)
        for path in buildbarn.storage_folders(made.folder / "storage"):
            path.mkdir(parents=True)
        inside = made.network.namespace()
        for name in ("storage", "scheduler"):
            text = found[f"{name}.json"]
            assert json.loads(text)
            (made.folder / f"{name}.json").write_text(text, encoding="utf-8")
            argv = ["ip", "netns", "exec", inside, str(programs / f"bb_{name}"), str(made.folder / f"{name}.json")]
            made.running[name] = Program(name, argv, made.folder / f"{name}.log", {})
            made.running[name].start()
        made.await_port(8980, made.network.address(2))
        made.await_port(8982, made.network.address(2))
