"""The command about workers of an engine of remote execution. No logic here."""

from __future__ import annotations

from pathlib import Path

import click

from photonbuild.cli.options import answer, without_session
from photonbuild.errors import ConfigError
from photonbuild.files import write_text
from photonbuild.log import Reporter
from photonbuild.remote.setup import Worker, engine_files, files

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("worker")
def worker_group() -> None:
    """Workers of an engine of remote execution."""


@worker_group.command("setup")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--storage", default="localhost:8980", show_default=True, help="Where bb_storage is.")
@click.option("--scheduler", default="localhost:8983", show_default=True, help="Where bb_scheduler is, for workers.")
@click.option("--name", default="worker", show_default=True, help="What the worker is called: each has its own name.")
@click.option("--slots", default=1, show_default=True, type=click.IntRange(1), help="Builds at once.")
@click.option("--cache-gib", default=40, show_default=True, type=click.IntRange(5), help="Bound of what it unpacks.")
@click.option("--files-gib", default=10, show_default=True, type=click.IntRange(1), help="Bound of what it fetches.")
@click.option("--home", default="/var/lib/photonbuild-worker", show_default=True, help="Folder of the worker.")
@click.option("--user", default="photonbuild-worker", show_default=True, help="User that builds run as.")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE", help="Property that clients ask for.")
@click.option("--authority", type=FILE, help="Certificates that storage and scheduler must come from (PEM).")
@click.option("--certificate", help="Path of the worker's certificate, on its machine.")
@click.option("--key", help="Path of that certificate's key, on its machine.")
@click.option("--image", default=Worker.image, show_default=True, help="Image of the pods' containers.")
@click.option("--engine", is_flag=True, help="Also settings of a storage and a scheduler, to try things with.")
@without_session
def worker_setup(
    reporter: Reporter,
    folder: Path | None,
    storage: str,
    scheduler: str,
    name: str,
    slots: int,
    cache_gib: int,
    files_gib: int,
    home: str,
    user: str,
    properties: tuple[str, ...],
    authority: Path | None,
    certificate: str | None,
    key: str | None,
    image: str,
    engine: bool,
) -> None:
    """Write what a machine needs to be a worker of Buildbarn into FOLDER; without one, print it.

    Settings of bb_worker and bb_runner, units of systemd with a script that installs them, a manifest for Kubernetes.
    """
    wrong = [text for text in properties if "=" not in text]
    if wrong or (certificate is None) != (key is None):
        raise ConfigError(f"'{wrong[0]}' is no NAME=VALUE" if wrong else "a certificate and its key belong together")
    worker = Worker(
        storage=storage,
        scheduler=scheduler,
        name=name,
        folder=Path(home),
        user=user,
        slots=slots,
        cache_gib=cache_gib,
        files_gib=files_gib,
        platform=dict(text.split("=", 1) for text in properties),
        authority=authority.read_text(encoding="ascii") if authority else None,
        certificate=Path(certificate) if certificate else None,
        key=Path(key) if key else None,
        image=image,
    )
    found = files(worker)
    if engine:
        host = storage.rpartition(":")[0]
        found |= engine_files(Path("/var/lib/photonbuild-storage"), host=host, size=64 << 30)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in found.items():
            write_text(folder / file, text)
        (folder / "install.sh").chmod(0o755)
        answer({file: str(folder / file) for file in found}, *(folder / file for file in found))
    else:
        answer(found, *(f"# {file}\n{text}" for file, text in found.items()))
