"""Container images that come with a system: OCI archives, read with bounds and checked, merged into one archive.

What several of them share is in it once. The image layout is that of OCI's image-spec 1.1; the annotation that holds
the whole name is the one that containerd's importer reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonbuild.errors import ConfigError
from photonbuild.images.oci import ARCHITECTURES

FULL_NAME, REFERENCE = "io.containerd.image.name", "org.opencontainers.image.ref.name"
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
MOST_JSON, MOST_MEMBERS, DEEPEST = 4 << 20, 20_000, 4


@dataclass(frozen=True, kw_only=True)
class ContainerImage:
    """An image of an archive: its whole name, the descriptor of its manifest, and of all that it consists of."""

    archive: Path
    name: str
    manifest: Mapping[str, Any]
    blobs: Mapping[str, int]


class _Archive:
    """An open archive: its members by name, and what is wrong with it said with the place that asks for it."""

    def __init__(self, path: Path, tar: tarfile.TarFile, where: str) -> None:
        self.path, self.tar, self.where = path, tar, where
        self.members: dict[str, tarfile.TarInfo] = {}
        for member in tar:
            self.members[member.name.removeprefix("./")] = member
            if len(self.members) > MOST_MEMBERS:
                raise self.wrong(f"has more than {MOST_MEMBERS} files")

    def wrong(self, what: str) -> ConfigError:
        return ConfigError(f"'{self.path.name}' {what}", where=self.where)

    def json(self, name: str, digest: str = "") -> dict[str, Any]:
        member = self.members.get(name)
        source = self.tar.extractfile(member) if member and member.isreg() else None
        if member is None or source is None:
            raise self.wrong(f"is no OCI archive that is whole: it has no '{name}'")
        if member.size > MOST_JSON:
            raise self.wrong(f"has a '{name}' of {member.size} bytes, which is no image's")
        content = source.read()
        if digest and f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise self.wrong(f"is damaged: '{name}' has another digest")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self.wrong(f"has a '{name}' that is no JSON object")
        return found

    def blob(self, descriptor: Any) -> tuple[str, int]:
        """Digest and size of what a descriptor names, which is there and of that size."""
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise self.wrong("has a descriptor without a sha256 digest")
        member = self.members.get(member_name(digest))
        if member is None or not member.isreg() or member.size != descriptor.get("size"):
            raise self.wrong(f"is not whole: {digest} is missing, or not of the size that is said of it")
        return digest, member.size


def member_name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def read_archive(path: Path, *, arch: str, name: str | None, where: str) -> Sequence[ContainerImage]:
    """The images of an archive that are for `arch`. Raises ConfigError."""
    try:
        with tarfile.open(path, "r:") as tar:
            archive = _Archive(path, tar, where)
            archive.json("oci-layout")
            found = _images(archive, archive.json("index.json"), ARCHITECTURES[arch], {}, 0)
            images = [_image(archive, entry, name) for entry in found]
    except (tarfile.TarError, EOFError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path.name}' is no tar archive: {error}", where=where) from None
    if not images:
        raise ConfigError(f"'{path.name}' has no image for {ARCHITECTURES[arch]}", where=where)
    if name and len(images) > 1:
        raise ConfigError(f"'{path.name}' has {len(images)} images, which cannot all be called '{name}'", where=where)
    return images


def _images(
    archive: _Archive, index: Mapping[str, Any], wanted: str, inherited: Mapping[str, str], depth: int
) -> list[dict[str, Any]]:
    """Descriptors of the manifests for the architecture, with the annotations of what is around them."""
    listed = index.get("manifests")
    if not isinstance(listed, list) or depth > DEEPEST:
        raise archive.wrong("has an index without a list of manifests")
    result = []
    for entry in listed:
        digest, _ = archive.blob(entry)
        own = entry.get("annotations")
        annotations = {**inherited, **(own if isinstance(own, dict) else {})}
        platform = entry.get("platform") if isinstance(entry.get("platform"), dict) else None
        if entry.get("mediaType") in INDEXES:
            result += _images(archive, archive.json(member_name(digest), digest), wanted, annotations, depth + 1)
        elif platform is None or (platform.get("os"), platform.get("architecture")) == ("linux", wanted):
            manifest = archive.json(member_name(digest), digest)
            config, _ = archive.blob(manifest.get("config"))
            if archive.json(member_name(config), config).get("architecture") == wanted:
                result.append({**entry, "annotations": annotations})
    return result


def _image(archive: _Archive, entry: Mapping[str, Any], name: str | None) -> ContainerImage:
    digest, size = archive.blob(entry)
    manifest = archive.json(member_name(digest), digest)
    layers = manifest.get("layers")
    media_type = entry.get("mediaType") or manifest.get("mediaType")
    if media_type not in MANIFESTS or not isinstance(layers, list):
        raise archive.wrong("has a manifest that is no image's")
    config_digest, config_size = archive.blob(manifest.get("config"))
    rootfs = archive.json(member_name(config_digest), config_digest).get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != len(layers):
        raise archive.wrong("has an image whose configuration names other layers than its manifest")
    blobs = {digest: size, config_digest: config_size, **dict(archive.blob(layer) for layer in layers)}
    annotations = entry["annotations"]
    found = name or annotations.get(FULL_NAME) or annotations.get(REFERENCE)
    if not isinstance(found, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*", found):
        raise ConfigError(
            f"'{archive.path.name}' does not say what its image is called", where=archive.where, hint="add 'name:'"
        )
    descriptor = {"mediaType": media_type, "digest": digest, "size": size}
    return ContainerImage(archive=archive.path, name=whole_name(found), manifest=descriptor, blobs=blobs)


def whole_name(name: str) -> str:
    """The name with its registry, as Docker completes it."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def merged_index(images: Sequence[ContainerImage]) -> bytes:
    manifests = [
        {**image.manifest, "annotations": {FULL_NAME: image.name, REFERENCE: image.name.rpartition(":")[2]}}
        for image in sorted(images, key=lambda image: image.name)
    ]
    index = {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": manifests}
    return json.dumps(index, sort_keys=True, separators=(",", ":")).encode()


def write_merged(images: Sequence[ContainerImage], target: Path) -> None:
    """One archive of all images: every blob once, sorted, without times and owners. Raises ConfigError."""
    sources = {digest: image.archive for image in reversed(images) for digest in image.blobs}
    opened: dict[Path, tarfile.TarFile] = {}
    try:
        with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
            for digest, path in sorted(sources.items()):
                if path not in opened:
                    opened[path] = tarfile.open(path, "r:")  # noqa: SIM115 (closed below)
                _add_blob(tar, opened[path], digest)
            _add_bytes(tar, "index.json", merged_index(images))
            _add_bytes(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    finally:
        for archive in opened.values():
            archive.close()


def _add_blob(tar: tarfile.TarFile, archive: tarfile.TarFile, digest: str) -> None:
    name = member_name(digest)
    member = next(each for each in archive.getmembers() if each.name.removeprefix("./") == name)
    source = archive.extractfile(member)
    assert source is not None
    info = tarfile.TarInfo(name)
    info.size = member.size
    reader = _Hashing(source)
    tar.addfile(info, reader)
    if f"sha256:{reader.digest.hexdigest()}" != digest:
        raise ConfigError(f"'{Path(str(archive.name)).name}' is damaged: {digest} has another digest")


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, source: Any) -> None:
        self.source, self.digest = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.source.read(size)
        self.digest.update(data)
        return data
