"""An image as it was found or pulled becomes one that runs: layers → one tar → one EROFS file of nominal size."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from pathlib import Path

from photonbuild.files import locked
from pico.builder import Builder
from pico.errors import PicoError
from pico.oci import layers, store
from pico.oci.archive import Files, Manifest, opened, read
from pico.oci.bounds import Limits
from pico.oci.flatten import flatten
from pico.oci.reference import Reference, by_name
from pico.oci.store import FORMAT, Image

NAMESPACE = uuid.UUID("6f6b2cf5-9d0b-5a55-9c5e-3f1c8d3f0c52")


def convert(root: Path, reference: Reference, builder: Builder, *, verify_tls: bool = True) -> Image:
    """Make the image of a path or, after pulling it, of a name. Raises PicoError, ImageError."""
    with builder.staging() as work:
        if reference.path is not None:
            return from_layout(root, reference, builder, work, reference.path, None)
        from pico.oci.pull import pull

        builder.say(f"pulling {reference.text}")
        with store.pulling(root):  # its layers belong to no image yet
            layout, blobs = pull(root, reference.text, builder, work, verify_tls=verify_tls)
            return from_layout(root, reference, builder, work, layout, blobs)


def from_layout(
    root: Path, reference: Reference, builder: Builder, work: Path, path: Path, blobs: Path | None
) -> Image:
    """Convert what lies at `path`, unless the store has the very same image already."""
    before = reference.state()
    with opened(path, blobs) as files:
        found = read(files, reference.tag if blobs is None else None)
        identity = image_id(found.digest, builder.settings.disk)
        with locked(root / "locks" / f"image-{identity[:24]}"):
            final = root / "images" / identity
            if (final / "image.json").exists():
                image = store.load(final)
            else:
                builder.say(f"converting {len(found.layers)} layers")
                image = _make(root, files, found, builder, work, identity, blobs)
    store.point(root, reference.text, identity, before)
    for name in dict.fromkeys(found.names):
        if not claim(root, name, identity, reference):
            builder.say(f"'{name}', as it calls itself, is another image's name here, or a registry's")
    return image


def claim(root: Path, name: str, identity: str, reference: Reference) -> bool:
    """Give the image a name that it has given itself; False when it may not be called so.

    What names a registry means what that registry gives; another name is taken once, and again by the same file.
    """
    try:
        wanted = by_name(name)
    except PicoError:
        return False
    if wanted.text == reference.text:
        return True
    known = store.pointer(root, wanted.text)
    taken = known is not None and known["image"] != identity and known.get("source") != reference.text
    if taken or (wanted.has_host and not wanted.text.startswith("localhost/")):
        return False
    store.point(root, wanted.text, identity, [], source=reference.text)
    return True


def image_id(digest: str, nominal: int) -> str:
    """An image's name in the store: what is in it, and how it was made."""
    return hashlib.sha256(f"{FORMAT} {nominal} {digest}".encode()).hexdigest()


def _make(
    root: Path, files: Files, found: Manifest, builder: Builder, work: Path, identity: str, blobs: Path | None
) -> Image:
    folder = work / "image"
    folder.mkdir()
    box = builder.sandbox("build", writable={"/work": work}, hostname="image")

    def zstd(packed: Path, plain: Path, most: int) -> None:
        argv = ["prlimit", f"--fsize={most}", "zstd", "-qdf", f"/work/{packed.name}", "-o", f"/work/{plain.name}"]
        box.run(argv, error=PicoError)

    nominal = builder.settings.disk
    # All layers, the tree made of them, and its disk are here at once.
    most = min(nominal, shutil.disk_usage(work).free // 3)
    tars, left = [], most
    for number, (layer, diff_id) in enumerate(zip(found.layers, found.config.diff_ids, strict=True)):
        tars.append(work / f"layer{number}.tar")
        left -= layers.unpack(files, layer, diff_id, tars[-1], zstd, most=left)
    flatten(tars, work / "root.tar", Limits(size=most))
    for tar in tars:
        tar.unlink()
    name = uuid.uuid5(NAMESPACE, identity)
    argv = ["mkfs.erofs", "-d0", "-T0", "--mkfs-time", "--tar=f", "-U", str(name), "/work/image/disk", "/work/root.tar"]
    box.run(argv, error=PicoError)
    disk = folder / "disk"
    size = disk.stat().st_size
    if size > nominal:
        raise PicoError(f"the image has {size >> 30} GiB, machines have disks of {nominal >> 30} GiB", where=files.name)
    os.truncate(disk, nominal)
    disk.chmod(0o444)
    facts = {
        "config": found.config,
        "blobs": [layer.digest for layer in found.layers] if blobs is not None else [],
        "size": size,
    }
    return store.publish(root, folder, identity, facts)
