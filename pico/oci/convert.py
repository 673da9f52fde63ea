"""An image as it was found or pulled becomes one that runs: layers → one tar → one EROFS file of nominal size."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

from photonbuild.files import locked
from pico.builder import Builder
from pico.errors import PicoError
from pico.oci import layers, store
from pico.oci.archive import Files, Manifest, opened, read
from pico.oci.flatten import flatten
from pico.oci.reference import Reference
from pico.oci.store import FORMAT, Image

NAMESPACE = uuid.UUID("6f6b2cf5-9d0b-5a55-9c5e-3f1c8d3f0c52")


def convert(root: Path, reference: Reference, builder: Builder, *, verify_tls: bool = True) -> Image:
    """Make the image of a path or, after pulling it, of a name. Raises PicoError, ImageError."""
    with builder.staging() as work:
        if reference.path is not None:
            return from_layout(root, reference, builder, work, reference.path, None)
        from pico.oci.pull import pull

        builder.say(f"pulling {reference.text}")
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
    for name in dict.fromkeys((reference.text, *(_tagged(name) for name in found.names))):
        store.point(root, name, identity, before if name == reference.text else [])
    return image


def image_id(digest: str, nominal: int) -> str:
    """An image's name in the store: what is in it, and how it was made."""
    return hashlib.sha256(f"{FORMAT} {nominal} {digest}".encode()).hexdigest()


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _make(
    root: Path, files: Files, found: Manifest, builder: Builder, work: Path, identity: str, blobs: Path | None
) -> Image:
    folder = work / "image"
    folder.mkdir()
    box = builder.sandbox("build", writable={"/work": work}, hostname="image")

    def zstd(packed: Path, plain: Path) -> None:
        argv = ["zstd", "-qdf", f"/work/{packed.name}", "-o", f"/work/{plain.name}"]
        box.run(argv, error=PicoError)

    tars = []
    for number, (layer, diff_id) in enumerate(zip(found.layers, found.config.diff_ids, strict=True)):
        tars.append(work / f"layer{number}.tar")
        layers.unpack(files, layer, diff_id, tars[-1], zstd)
    flatten(tars, work / "root.tar")
    for tar in tars:
        tar.unlink()
    name = uuid.uuid5(NAMESPACE, identity)
    argv = ["mkfs.erofs", "-d0", "-T0", "--mkfs-time", "--tar=f", "-U", str(name), "/work/image/disk", "/work/root.tar"]
    box.run(argv, error=PicoError)
    disk = folder / "disk"
    size = disk.stat().st_size
    nominal = builder.settings.disk
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
