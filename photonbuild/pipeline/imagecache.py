"""An image in a shared cache: all its files as one part."""

from __future__ import annotations

from pathlib import Path

from photonbuild.cache.caches import Caches
from photonbuild.cache.parts import pack_files, unpack_files
from photonbuild.contents import list_of
from photonbuild.errors import StoreError
from photonbuild.files import read_sealed
from photonbuild.pipeline.publish import RECORD
from photonbuild.store import Store

FILES = "files"


def send_image(caches: Caches, name: str, folder: Path) -> None:
    """To the caches, in a while, an image of the store, unless they do without."""
    if "image" not in caches.leave_out:
        own = list_of(folder).name.partition(".")[0]
        files = {path.name: path for path in folder.iterdir() if not path.name.startswith(f"{own}.")}
        caches.push_later("image", name, folder.name, {FILES: lambda target: pack_files(files, target)})


def shared_image(caches: Caches, store: Store, name: str, key: str) -> tuple[Path, str | None] | None:
    """The folder in the store of the image that a cache has, and its name if it came from there now."""
    found = caches.find("image", name, key)
    if found is None:
        return None
    final = store.root / "shared" / found.key.id / "image" / name / key
    if store.use(final).is_dir():
        if store.is_intact(final):
            return final, None
        store.discard(final)
    store.need_room()
    with store.staging() as work:
        try:
            caches.fetch(found, FILES, work / "packed")
            (work / "out").mkdir()
            unpack_files(work / "packed", work / "out", size=found.manifest.parts[FILES].unpacked)
            if not _is_whole(work / "out"):
                raise StoreError("it has not the files that its record names")
        except StoreError as error:
            raise caches.refuse(found, error.message) from None
        store.publish(work / "out", final)
    return final, found.cache


def _is_whole(folder: Path) -> bool:
    record = read_sealed(folder / RECORD)
    if record is None:
        return False
    try:
        names = [record["path"], record["checksum"], record["manifest"], *record["extras"]]
        return all(isinstance(name, str) and Path(name).name == name and (folder / name).is_file() for name in names)
    except (KeyError, TypeError):
        return False
