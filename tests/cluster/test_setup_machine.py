"""The recipes of docs/use/remote.md, word by word: a machine of ours that is a worker, and a container of Docker in it.

Storage, scheduler and clients are here; QEMU's network leads from the machine to them.
"""

from __future__ import annotations

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
PACKAGES = ("mini-data", "libmini", "mini-tool")
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


def set_up(folder: Path, engine: Cluster, name: str) -> Path:
    """What `photonbuild worker setup` writes for a worker of this name."""
    host = engine.network.address()
    at = ["--storage", f"{host}:{STORAGE + 1}", "--scheduler", f"{host}:{SCHEDULER_WORKERS}"]
    photonbuild(PROJECT, "worker", "setup", str(folder), *at, "--name", name, "--cache-gib", "5", "--files-gib", "1")
    return folder


def put(host: Host, folder: str, files: dict[str, Path]) -> None:
    """Files into a folder of the machine, by their names in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, path in files.items():
            tar.add(path, name)
    host.machine.ssh(f"mkdir -p {folder} && tar -C {folder} -x", input=packed.getvalue())


def log_of(client: Client, name: str) -> str:
    return (client.checkout.store / "logs" / f"{name}.log").read_text(encoding="utf-8")


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
    set_up(folder / "build" / "settings", engine, "machine-1")
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
def alone(tmp_path_factory: pytest.TempPathFactory, seeded_store: Path) -> dict[str, str]:
    """Digests of all packages as they are built here."""
    checkout = make_checkout(tmp_path_factory.mktemp("alone"), seeded_store)
    checkout.run("build", *PACKAGES)
    return Client(checkout, "").digests()


@pytest.fixture
def user(engine: Cluster, tmp_path: Path, seeded_store: Path) -> Client:
    return Client(make_checkout(tmp_path / "user", seeded_store), engine.address)


def test_a_machine_installs_itself(host: Host) -> None:
    """At its first start, without anything that failed; both programs are an ordinary user's, who has sub-ids."""
    failed = host.ssh("systemctl --failed; journalctl -b -p err --no-pager")
    assert host.ssh("systemctl is-system-running", check=False).strip() == "running", failed
    assert host.ssh(f"systemctl is-active {' '.join(UNITS)}").split() == ["active", "active"]
    assert host.ssh(f"systemctl is-enabled {' '.join(UNITS)}").split() == ["enabled", "enabled"]
    verify = "systemd-analyze verify --man=no --recursive-errors=no"
    assert host.ssh(f"{verify} /etc/systemd/system/photonbuild-*.service") == ""
    owners = host.ssh("stat -c %U $(pgrep -x 'bb_runner|bb_worker' | sed 's,.*,/proc/&,')").split()
    assert owners == ["photonbuild-worker"] * 2
    for file in ("/etc/subuid", "/etc/subgid"):
        assert re.search(r"^photonbuild-worker:\d+:65536$", host.ssh(f"cat {file}"), re.MULTILINE)


def test_a_machine_builds(host: Host, user: Client, alone: dict[str, str]) -> None:
    assert "1 builds by 1 workers" in user.build("mini-data")
    assert "# on worker machine-1" in log_of(user, "mini-data")
    assert user.digests() and user.digests().items() <= alone.items()


def test_other_settings_and_a_restart(
    host: Host, engine: Cluster, user: Client, alone: dict[str, str], tmp_path: Path
) -> None:
    """install.sh once more, then another start of the machine: the seed is not unpacked again."""
    before = host.ssh(SEEDS)
    assert before.count("\n") == 1
    put(host, INSTALLED, {"worker.json": set_up(tmp_path / "settings", engine, "machine-2") / "worker.json"})
    started = host.ssh(f"systemctl show -P MainPID {UNITS[1]}")
    host.ssh(f"{INSTALLED}/install.sh")
    assert host.ssh(f"systemctl show -P MainPID {UNITS[1]}") != started
    host.restart()
    user.build("libmini")
    assert "# on worker machine-2" in log_of(user, "libmini")
    assert user.digests() and user.digests().items() <= alone.items()
    assert host.ssh(SEEDS) == before


@pytest.fixture(scope="module")
def container(
    host: Host, project: Path, store: Store, engine: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A worker in a container, in place of the machine's own; the command that started it."""
    host.ssh(f"systemctl stop {' '.join(UNITS)}")
    archive = image(project, store, "worker")
    settings = set_up(tmp_path_factory.mktemp("container") / "settings", engine, "container")
    put(host, "/root/worker", {archive.name: archive, "settings": settings})
    commands = block(f"docker load --input {archive.name}")
    host.ssh(f"set -e; cd /root/worker\n{commands}")
    yield commands[commands.index("docker run") :].replace("\\\n", " ")
    host.ssh("docker rm --force photonbuild-worker")


def test_a_container_builds(host: Host, container: str, user: Client, alone: dict[str, str]) -> None:
    user.build("mini-tool")
    assert "# on worker container" in log_of(user, "mini-tool")
    assert user.digests() and user.digests().items() <= alone.items()
    held = host.ssh("docker exec photonbuild-worker sh -c 'id -un; grep CapEff /proc/self/status'").split()
    assert held == ["photonbuild-worker", "CapEff:", "0" * 16]


def test_no_option_can_be_left_out(host: Host, container: str) -> None:
    """But AppArmor's, which is not used here."""
    put(host, "/root/lib", {str(path.relative_to(code.PROJECT)): path for path in code.files(PROGRAMS)})
    host.write("/root/lib/probe.py", PROBE.encode())
    options = re.findall(r"--(?:cap-add|security-opt) \S+", container)
    assert len(options) == 4

    def attempt(*left: str) -> str:
        words = ["--rm --user photonbuild-worker --network none --volume /root/lib:/opt:ro", *left]
        return host.ssh(f"docker run {' '.join(words)} photonbuild-worker:1 python3 -B /opt/probe.py", check=False)

    assert "a sandbox" in attempt(*options)
    for option in options:
        works = "a sandbox" in attempt(*(other for other in options if other != option))
        assert works == ("apparmor" in option), option
