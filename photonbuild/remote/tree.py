"""Folders as the API has them: the input root of an action made of files, the files of what an action left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from photonbuild.errors import RemoteError
from photonbuild.remote.blobs import message
from photonbuild.remote.digest import Blob, Digest, digest_of, of_message
from photonbuild.remote.proto import remote_execution_pb2 as messages

MOST = 10_000  # files and folders of a result


@dataclass(frozen=True, kw_only=True)
class Input:
    """A file of an input root. Of its mode only whether it can be executed gets there."""

    blob: Blob
    executable: bool = False


def input_root(files: Mapping[str, Input]) -> tuple[Digest, list[Blob]]:
    """Digest of the root that has these files by their relative paths, and its folders as blobs."""
    folders: dict[str, Any] = {"": messages.Directory()}
    for path in sorted(files):
        folder, _, name = path.rpartition("/")
        while folder and folder not in folders:
            folders[folder] = messages.Directory()
            folder = folder.rpartition("/")[0]
        node = folders[path.rpartition("/")[0]].files.add(name=name, is_executable=files[path].executable)
        node.digest.CopyFrom(message(files[path].blob.digest))
    blobs = []
    # Deepest first: a folder holds the digests of those in it.
    for path in sorted(folders, key=lambda path: (-path.count("/") - bool(path), path)):
        blob = Blob.of(_serialized(folders[path]))
        blobs.append(blob)
        if path:
            above, _, name = path.rpartition("/")
            folders[above].directories.add(name=name).digest.CopyFrom(message(blob.digest))
    return blobs[-1].digest, blobs


def files_of(tree: bytes) -> dict[str, Digest]:
    """The files of a blob of the message Tree, by their paths. Raises RemoteError for what is no plain file."""
    found = messages.Tree()
    try:
        found.ParseFromString(tree)
    except DecodeError:
        raise RemoteError("a worker's result is no tree of files") from None
    children = {digest_of(child.SerializeToString(deterministic=True)): child for child in found.children}
    files: dict[str, Digest] = {}
    # A few folders that are in each other many times make more paths than anybody has time for.
    for number, (path, digest) in enumerate(_walk(found.root, children, "")):
        if number == MOST:
            raise RemoteError(f"a worker's result holds more than {MOST} files and folders")
        if digest is not None:
            files[path] = digest
    return files


def _walk(folder: Any, children: Mapping[Digest, Any], prefix: str) -> Iterator[tuple[str, Digest | None]]:
    """Paths of files with their digests, and of folders with None."""
    if folder.symlinks:
        raise RemoteError(f"a worker's result holds a symbolic link: {prefix}{folder.symlinks[0].name}")
    for node in (*folder.files, *folder.directories):
        if node.name in ("", ".", "..") or "/" in node.name or "\0" in node.name:
            raise RemoteError(f"a worker's result holds a file of the name {node.name!r}")
    for node in folder.files:
        yield f"{prefix}{node.name}", of_message(node.digest)
    for node in folder.directories:
        digest = of_message(node.digest)
        if digest not in children or prefix.count("/") > 8:
            raise RemoteError(f"a worker's result lacks its folder {prefix}{node.name}")
        yield f"{prefix}{node.name}", None
        yield from _walk(children[digest], children, f"{prefix}{node.name}/")


def _serialized(folder: Any) -> bytes:
    """As the API wants it: nodes sorted by name, so that equal folders have equal digests."""
    folder.files.sort(key=lambda node: node.name)
    folder.directories.sort(key=lambda node: node.name)
    return bytes(folder.SerializeToString(deterministic=True))
