"""Buildbarn's own programs take what `photonbuild worker setup` writes, and a worker of it builds."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from photonbuild.remote import buildbarn, setup
from tests.cluster.conftest import Client
from tests.integration.conftest import make_checkout
from tests.support.cluster import SCHEDULER_WORKERS, STORAGE, Program, cluster


def test_a_worker_as_it_is_set_up(programs: Path, place: Path, tmp_path: Path, seeded_store: Path) -> None:
    """By the settings for a pod, which read its name from the environment."""
    with cluster(programs, place / "set-up") as made:
        made.start_storage()
        made.start_scheduler()
        folder = made.folder / "home"
        for path in buildbarn.worker_folders(folder):
            path.mkdir(parents=True)
        host = made.network.address()
        worker = setup.Worker(
            storage=f"{host}:{STORAGE + 1}", scheduler=f"{host}:{SCHEDULER_WORKERS}", name="pod", folder=folder
        )
        settings, _ = yaml.safe_load_all(setup.files(worker)["kubernetes.yaml"])
        for name, program in (("runner.json", "bb_runner"), ("worker.jsonnet", "bb_worker")):
            (folder / name).write_text(settings["data"][name], encoding="utf-8")
            argv = [str(programs / program), str(folder / name)]
            made.running[program] = Program(program, argv, made.folder / f"{program}.log", {"POD": "ada-1"})
            made.running[program].start()
        client = Client(make_checkout(tmp_path / "client", seeded_store), made.address)
        assert "1 builds by 1 workers" in client.build("mini-data")
        log = (client.checkout.store / "logs" / "mini-data.log").read_text(encoding="utf-8")
        assert "# on worker ada-1" in log


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
