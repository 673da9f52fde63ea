"""The recipes of docs/use/remote.md, word by word: a machine of ours that is a worker, and a container of Docker in it.

Storage, scheduler and clients are here; QEMU's network leads from the machine to them.
"""

from __future__ import annotations

import concurrent.futures
import io
import os
import re
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from photonbuild import code
from photonbuild.log import Reporter
from photonbuild.machines.acceleration import best_accel
from photonbuild.machines.drive import boot_drive
from photonbuild.machines.hardware import Hardware
from photonbuild.machines.qemu import Machine
from photonbuild.packages.there import PROGRAMS
from photonbuild.pipeline.configuration import load_config
from photonbuild.pipeline.image import make_image
from photonbuild.pipeline.session import Session
from photonbuild.store import Store
from tests.cluster.conftest import Client
from tests.integration.conftest import PROJECT, make_checkout
from tests.support.cluster import SCHEDULER_WORKERS, STORAGE, Cluster, cluster
from tests.support.updates import Host

PAGE = PROJECT / "docs" / "use" / "remote.md"
UNITS = ("photonbuild-runner.service", "photonbuild-worker.service")
FIRST = {"machine": "mini-data", "container": "libmini"}  # what each worker builds first
SECOND = "mini-tool"
INSTALLED = "/usr/share/photonbuild-worker"
SEEDS = "stat -c '%n %i %W' $(find /var/lib/photonbuild-worker/cache/seeds -mindepth 2 -maxdepth 2 -type d)"
PROBE = """
import sys; sys.path.append('/opt')
from pathlib import Path
from photonbuild.store import Store
print(Store.open(Path('/var/lib/photonbuild-worker/probe')).host_sandbox().run(['echo', 'a sandbox']).stdout)
"""


def block(first: str) -> str:
    """The block of the page that begins with this line."""
    blocks = re.findall(r"(?:^ {4}.*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    (found,) = (text for text in map(textwrap.dedent, blocks) if text.startswith(f"{first}\n"))
    return found


def photonbuild(folder: Path, *words: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    argv = [sys.executable, "-m", "photonbuild", *words]
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def set_up(folder: Path, engine: Cluster, pool: str, name: str) -> Path:
    """What `photonbuild worker setup` writes for a worker of this name, which only who asks for its pool gets."""
    host = engine.network.address()
    at = ["--storage", f"{host}:{STORAGE + 1}", "--scheduler", f"{host}:{SCHEDULER_WORKERS}"]
    about = ["--name", name, "--property", f"pool={pool}", "--cache-gib", "5", "--files-gib", "1"]
    photonbuild(PROJECT, "worker", "setup", str(folder), *at, *about)
    return folder


def put(host: Host, folder: str, files: dict[str, Path]) -> None:
    """Files into a folder of the machine, by their names in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, path in files.items():
            tar.add(path, name)
    host.machine.ssh(f"mkdir -p {folder} && tar -C {folder} -x", input=packed.getvalue())


def client_of(folder: Path, seeded_store: Path, engine: Cluster, pool: str) -> Client:
    checkout = make_checkout(folder, seeded_store)
    text = f"remote: {{address: '{engine.address}', platform: {{pool: {pool}}}}}\n"
    (checkout.root / "user.yaml").write_text(text, encoding="utf-8")
    return Client(checkout, engine.address)


def worker_of(client: Client, name: str) -> str:
    """Who built it."""
    log = (client.checkout.store / "logs" / f"{name}.log").read_text(encoding="utf-8")
    return log.partition("# on worker ")[2].partition("\n")[0]


@pytest.fixture(scope="module")
def engine(programs: Path, place: Path) -> Iterator[Cluster]:
    """Storage and scheduler."""
    with cluster(programs, place / "machine") as made:
        made.start_storage()
        made.start_scheduler()
        yield made


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, engine: Cluster, programs: Path) -> Path:
    """A project with both recipes of the page and what they name."""
    folder = tmp_path_factory.mktemp("workers") / "project"
    photonbuild(PROJECT, "init", str(folder), "--extends", str(PROJECT))
    (folder / "build" / "files").mkdir()
    for name in ("bb_runner", "bb_worker"):
        (folder / "build" / "files" / name).write_bytes((programs / name).read_bytes())
    for name, first in (("builder", "format: qcow2"), ("worker", "format: oci")):
        (folder / "build" / "images" / f"{name}.yaml").write_text(block(first), encoding="utf-8")
    set_up(folder / "build" / "settings", engine, "machine", "machine-1")
    return folder


def image(project: Path, store: Store, name: str, profile: str | None = None) -> Path:
    session = Session(config=load_config(project), store=store, reporter=Reporter())
    return make_image(session, name, [], profile=profile)[0].path


@pytest.fixture(scope="module")
def host(project: Path, store: Store, machine_seed: Path) -> Iterator[Host]:
    """The page's machine with the packages of a container host, after its first start."""
    with boot_drive(image(project, store, "builder", "default")) as drive:
        accel = best_accel(machine_seed, store.scratch)
        hardware = Hardware(boot_drive=drive, accel=accel, memory=4096, restarts=True)
        with Machine(hardware, seed=machine_seed, scratch=store.scratch) as machine:
            found = Host(machine)
            found.up()
            yield found
            machine.shut_down()


@pytest.fixture(scope="module")
def container(
    host: Host, project: Path, store: Store, engine: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A worker in a container of the machine's Docker; the command that started it."""
    archive = image(project, store, "worker")
    settings = set_up(tmp_path_factory.mktemp("container") / "settings", engine, "container", "container-1")
    put(host, "/root/worker", {archive.name: archive, "settings": settings})
    commands = block(f"docker load --input {archive.name}")
    host.ssh(f"set -e; cd /root/worker\n{commands}")
    return commands[commands.index("docker run") :].replace("\\\n", " ")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, seeded_store: Path) -> dict[str, str]:
    """Digests of all packages as they are built here."""
    checkout = make_checkout(tmp_path_factory.mktemp("alone"), seeded_store)
    checkout.run("build", *FIRST.values(), SECOND)
    return Client(checkout, "").digests()


@pytest.fixture(scope="module")
def built(
    host: Host, container: str, engine: Cluster, tmp_path_factory: pytest.TempPathFactory, seeded_store: Path
) -> dict[str, Client]:
    """A client of each worker after its first build: both at once, for each worker unpacks a seed, which takes long."""
    folder = tmp_path_factory.mktemp("clients")
    clients = {pool: client_of(folder / pool, seeded_store, engine, pool) for pool in FIRST}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: clients[name].build(FIRST[name]), FIRST))
    return clients


def test_a_machine_installs_itself(host: Host) -> None:
    """At its first start, without anything that failed; both programs are an ordinary user's, who has sub-ids."""
    failed = host.ssh("systemctl --failed; journalctl -b -p err --no-pager")
    assert host.ssh("systemctl is-system-running", check=False).strip() == "running", failed
    assert host.ssh(f"systemctl is-active {' '.join(UNITS)}").split() == ["active", "active"]
    assert host.ssh(f"systemctl is-enabled {' '.join(UNITS)}").split() == ["enabled", "enabled"]
    paths = " ".join(f"/etc/systemd/system/{unit}" for unit in UNITS)
    assert host.ssh(f"systemd-analyze verify --man=no --recursive-errors=no {paths}") == ""
    owners = host.ssh("stat -c %U $(pgrep -x 'bb_runner|bb_worker' | sed 's,.*,/proc/&,')").split()
    assert owners == ["photonbuild-worker"] * 2
    for file in ("/etc/subuid", "/etc/subgid"):
        assert re.search(r"^photonbuild-worker:\d+:65536$", host.ssh(f"cat {file}"), re.MULTILINE)


@pytest.mark.parametrize("pool", FIRST)
def test_the_same_packages(built: dict[str, Client], alone: dict[str, str], pool: str) -> None:
    assert worker_of(built[pool], FIRST[pool]) == f"{pool}-1"
    found = built[pool].digests()
    assert found and found.items() <= alone.items()


def test_other_settings(
    host: Host, engine: Cluster, built: dict[str, Client], alone: dict[str, str], tmp_path: Path
) -> None:
    """install.sh once more: both programs are started again, and the seed is not unpacked again."""
    before = host.ssh(SEEDS)
    assert before.count("\n") == 1
    settings = set_up(tmp_path / "settings", engine, "machine", "machine-2")
    put(host, INSTALLED, {"worker.json": settings / "worker.json"})
    host.ssh(f"{INSTALLED}/install.sh")
    built["machine"].build(SECOND)
    assert worker_of(built["machine"], SECOND) == "machine-2"
    assert built["machine"].digests().items() <= alone.items()
    assert host.ssh(SEEDS) == before


def test_the_container_is_an_ordinary_users(host: Host, built: dict[str, Client]) -> None:
    held = host.ssh("docker exec photonbuild-worker sh -c 'id -un; grep CapEff /proc/self/status'").split()
    assert held == ["photonbuild-worker", "CapEff:", "0" * 16]


def test_what_a_container_cannot_do_without(host: Host, container: str) -> None:
    """seccomp's and /proc's options. AppArmor is not used here; the capability is for the builds of a worker alone."""
    put(host, "/root/lib", {str(path.relative_to(code.PROJECT)): path for path in code.files(PROGRAMS)})
    host.write("/root/lib/probe.py", PROBE.encode())
    options = re.findall(r"--security-opt \S+", container)
    assert len(options) == 3

    def attempt(*left: str) -> str:
        words = ["--rm --user photonbuild-worker --network none --volume /root/lib:/opt:ro", *left]
        return host.ssh(f"docker run {' '.join(words)} photonbuild-worker:1 python3 -B /opt/probe.py", check=False)

    assert "a sandbox" in attempt(*options)
    for option in options:
        works = "a sandbox" in attempt(*(other for other in options if other != option))
        assert works == ("apparmor" in option), option


def test_another_start(host: Host, built: dict[str, Client]) -> None:
    """Of the machine: both workers are there again."""
    host.restart()
    assert host.ssh(f"systemctl is-active {' '.join(UNITS)}").split() == ["active", "active"]
    assert host.ssh("docker inspect --format {{.State.Status}} photonbuild-worker").strip() == "running"
