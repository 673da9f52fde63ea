"""Reading an image from an OCI layout or a docker archive, both as a folder or a tar, with every digest checked.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import posixpath
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from pico.errors import PicoError
from pico.oci.bounds import damaged, members
from pico.oci.bounds import opened as tarfile_of
from pico.oci.config import ARCHITECTURE, SYSTEM, ImageConfig, parse

CHUNK = 1 << 20
LARGEST_DOCUMENT = 8 << 20
# Of an archive; of an index, a sixteenth of it for each index above; how deep they lie in each other.
MOST_FILES, MOST_ENTRIES, DEEPEST, MOST_LINKS = 100_000, 4096, 2, 8
ZSTD = b"\x28\xb5\x2f\xfd"
GZIP = b"\x1f\x8b"
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


class Files(Protocol):
    """Named files, wherever they are."""

    @property
    def name(self) -> str:
        """Where they are, for messages."""

    def open(self, name: str) -> IO[bytes] | None:
        """None when there is no such file."""


@dataclass(frozen=True)
class Folder:
    """Files of a folder; those of ``blobs`` may be in another one."""

    path: Path
    blobs: Path | None = None

    @property
    def name(self) -> str:
        return str(self.path)

    def open(self, name: str) -> IO[bytes] | None:
        base = self.blobs if self.blobs is not None and name.startswith("blobs/") else self.path
        path = base / (name.removeprefix("blobs/") if base is self.blobs else name)
        try:
            return path.open("rb") if path.is_file() and ".." not in Path(name).parts else None
        except OSError:  # no name that a file can have
            return None


@dataclass(frozen=True)
class Archive:
    """Files of a tar, which may be compressed; `members` by their names without a leading ``./``."""

    tar: tarfile.TarFile
    members: Mapping[str, tarfile.TarInfo]
    name: str

    def open(self, name: str) -> IO[bytes] | None:
        """Links, with which docker names a layer twice, are followed inside the archive."""
        for _ in range(MOST_LINKS):
            member = self.members.get(name)
            if member is None or member.isreg():
                return None if member is None else self.tar.fileobject(self.tar, member)
            if not (member.issym() or member.islnk()):
                return None
            base = posixpath.dirname(name) if member.issym() else ""
            name = posixpath.normpath(posixpath.join(base, member.linkname))
        return None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """`file` is its name among the `Files`; `digest` of the file as it is there, None where the format has none."""

    file: str
    digest: str | None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an image consists of: `digest` of its configuration, layers lowest first, and the names it goes by."""

    digest: str
    config: ImageConfig
    layers: Sequence[Layer]
    names: Sequence[str]


@contextmanager
def opened(path: Path, blobs: Path | None = None) -> Iterator[Files]:
    """The files of a layout or an archive. Raises PicoError when it is neither."""
    if path.is_dir():
        yield Folder(path, blobs)
        return
    where = str(path)
    with damaged(where, "damaged or no archive"), _decompressed(path) as handle:
        found = {
            posixpath.normpath(member.name): member
            for member in members(handle, where, MOST_FILES, "damaged or no archive")
        }
        handle.seek(0)
        with tarfile_of(handle) as tar:
            yield Archive(tar, found, where)


def _decompressed(path: Path) -> IO[bytes]:
    """What `docker save` wrote, also after gzip, bzip2 or xz."""
    handle = path.open("rb")
    first = handle.read(6)
    handle.seek(0)
    for magic, wrap in ((GZIP, gzip.GzipFile), (b"BZh", bz2.BZ2File), (b"\xfd7zXZ\0", lzma.LZMAFile)):
        if first.startswith(magic):
            handle.close()
            return wrap(path)  # type: ignore[return-value]
    return handle


def read(files: Files, tag: str | None) -> Manifest:
    """The image that `tag` names, or the only one. Raises PicoError."""
    index = _optional(files, "index.json")
    docker = _optional(files, "manifest.json")
    if index is not None:
        return _oci(files, index, tag, _docker_names(docker))
    if docker is not None:
        return _docker(files, docker, tag)
    raise PicoError(
        "no image here: neither an OCI layout (index.json) nor a docker archive (manifest.json)", where=files.name
    )


def _docker_names(document: Any) -> list[str]:
    return [name for entry in _mappings(document) for name in _texts(entry.get("RepoTags"))]


def _mappings(value: Any) -> list[dict[str, Any]]:
    """Those of a list that are such; nothing of what is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _oci(files: Files, index: Any, tag: str | None, names: Sequence[str]) -> Manifest:
    entries = _mappings(_mapping(index).get("manifests"))
    if not entries:
        raise PicoError("the layout's index lists no image", where=files.name)
    if tag is not None:
        entries = [entry for entry in entries if tag in (_name(entry), entry.get("digest"))]
        if not entries:
            raise PicoError(f"the layout has no image '{tag}'", where=files.name)
    entry = _choose(files, entries)
    manifest = _mapping(_json(_blob(files, entry.get("digest")), files))
    config_digest = _mapping(manifest.get("config")).get("digest")
    if not isinstance(config_digest, str):
        raise PicoError("the image has no configuration", where=files.name)
    config = parse(_json(_blob(files, config_digest), files), files.name)
    digests = [layer.get("digest") for layer in _mappings(manifest.get("layers"))]
    layers = [Layer(file=_file(digest), digest=str(digest)) for digest in digests]
    return _checked(files, config_digest, config, layers, names or _full_name(entry))


def _choose(files: Files, entries: Sequence[Any], depth: int = 0) -> Any:
    """The only manifest, or the one for our architecture; an index may hold indexes, each of a platform once."""
    found = []
    if len(entries) > MOST_ENTRIES >> 4 * depth:
        raise PicoError(f"an index of {len(entries)} images", where=files.name)
    for entry in entries:
        platform = _mapping(entry.get("platform"))
        if platform and (platform.get("os"), platform.get("architecture")) != (SYSTEM, ARCHITECTURE):
            continue
        if entry.get("mediaType") in INDEXES and depth < DEEPEST:
            inner = _mapping(_json(_blob(files, entry.get("digest")), files))
            found.append(_choose(files, _mappings(inner.get("manifests")), depth + 1))
        else:
            found.append(entry)
    if not found:
        known = sorted(
            {f"{p.get('os')}/{p.get('architecture')}" for p in (_mapping(e.get("platform")) for e in entries)}
        )
        raise PicoError(
            f"no image for {SYSTEM}/{ARCHITECTURE} here, but for {', '.join(known) or 'nothing'}", where=files.name
        )
    if len({str(entry.get("digest")) for entry in found}) > 1:
        tags = sorted(filter(None, map(_name, found)))
        hint = f"name one: {files.name}:{tags[0]}" if tags else None
        raise PicoError(f"{len(found)} images here: {', '.join(tags) or 'without names'}", where=files.name, hint=hint)
    return found[0]


def _name(entry: Any) -> str | None:
    name = _mapping(entry.get("annotations")).get("org.opencontainers.image.ref.name")
    return name if isinstance(name, str) else None


def _full_name(entry: Any) -> list[str]:
    """The annotation, unless it is a mere tag: that names nothing outside its layout."""
    name = _name(entry) or ""
    return [name] if "/" in name or ":" in name else []


def _docker(files: Files, document: Any, tag: str | None) -> Manifest:
    entries = _mappings(document)
    if tag is not None:
        entries = [
            e for e in entries if any(tag in (name, name.rpartition(":")[2]) for name in _texts(e.get("RepoTags")))
        ]
    if len(entries) != 1:
        names = _docker_names(document)
        raise PicoError(
            f"{len(entries)} images here{f' called {tag}' if tag else ''}",
            where=files.name,
            hint=f"it holds: {', '.join(names)}" if names else None,
        )
    entry = entries[0]
    named = entry.get("Config")
    if not isinstance(named, str) or not named:
        raise PicoError("the image has no configuration", where=files.name)
    text = _read(files, named)
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    stated = posixpath.basename(named).removesuffix(".json")
    if len(stated) == 64 and stated != digest.removeprefix("sha256:"):
        raise PicoError("damaged: the configuration has another digest than its name", where=files.name)
    layers = [Layer(file=name, digest=None) for name in _texts(entry.get("Layers"))]
    return _checked(files, digest, parse(_json(text, files), files.name), layers, _texts(entry.get("RepoTags")))


def _checked(files: Files, digest: str, config: ImageConfig, layers: list[Layer], names: Sequence[str]) -> Manifest:
    if len(layers) != len(config.diff_ids):
        raise PicoError(
            f"the image has {len(layers)} layers, its configuration speaks of {len(config.diff_ids)}", where=files.name
        )
    return Manifest(digest=digest, config=config, layers=layers, names=tuple(names))


def _file(digest: Any) -> str:
    """Name of a blob. Raises PicoError for what is no sha256 digest."""
    algorithm, _, value = str(digest).partition(":")
    if algorithm != "sha256" or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise PicoError(f"'{digest}' is no sha256 digest")
    return f"blobs/sha256/{value}"


def _blob(files: Files, digest: Any) -> bytes:
    text = _read(files, _file(digest))
    if f"sha256:{hashlib.sha256(text).hexdigest()}" != digest:
        raise PicoError(f"damaged: {digest} has another content", where=files.name)
    return text


def _read(files: Files, name: str) -> bytes:
    handle = files.open(name)
    if handle is None:
        raise PicoError(f"damaged: {name} is missing", where=files.name)
    with handle, damaged(files.name, "damaged or no archive"):
        text = handle.read(LARGEST_DOCUMENT + 1)
    if len(text) > LARGEST_DOCUMENT:
        raise PicoError(f"{name} is too large", where=files.name)
    return text


def _json(text: bytes, files: Files) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise PicoError(f"not JSON: {exc}", where=files.name) from exc


def _optional(files: Files, name: str) -> Any:
    handle = files.open(name)
    if handle is None:
        return None
    handle.close()
    return _json(_read(files, name), files)
