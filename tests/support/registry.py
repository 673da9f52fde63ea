"""A read-only image registry on this machine's loopback, which the guest sees as 10.0.2.2, over HTTP or TLS.

OCI Distribution Specification 1.1, the "pull" workflow: GET and HEAD of ``/v2/``, manifests and blobs.
https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pull
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import serving

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Repository:
    """Blobs by digest, manifests by digest and tag, with their media types."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def _descriptor(self, media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}

    def _blob(self, media_type: str, data: bytes) -> dict[str, Any]:
        self.blobs[digest_of(data)] = data
        return self._descriptor(media_type, data)

    def _manifest(self, media_type: str, value: Mapping[str, Any], tag: str) -> bytes:
        data = json.dumps(value, indent=1).encode()
        self.manifests[digest_of(data)] = self.manifests[tag] = (media_type, data)
        return data

    def add(self, tag: str, layers: Sequence[bytes], architecture: str = "amd64", **config: Any) -> dict[str, Any]:
        """Add an image of these tar layers; the descriptor of its manifest. `config`: keys of its "config"."""
        whole = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"], **config},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(CONFIG, json.dumps(whole).encode()),
            "layers": [self._blob(LAYER, gzip.compress(layer, mtime=0)) for layer in layers],
        }
        data = self._manifest(MANIFEST, manifest, tag)
        return self._descriptor(MANIFEST, data, platform={"architecture": architecture, "os": "linux"})

    def add_index(self, tag: str, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Add an index of several images, as for several architectures."""
        self._manifest(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}, tag)


def layer(files: Mapping[str, bytes | str], modes: Mapping[str, int] | None = None) -> bytes:
    """A tar layer: contents by path; text is the target of a symbolic link. Folders are made as needed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folders = sorted({str(parent) for name in files for parent in Path(name).parents} - {"."})
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, (modes or {}).get(name, 0o755)
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size, entry.mode = len(content), (modes or {}).get(name, 0o644)
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def box_repository(busybox: Path, applets: Sequence[str]) -> Repository:
    """Tags ``latest``, of two layers with a whiteout between them, and ``many``, an index of two architectures."""
    links: dict[str, bytes | str] = {f"bin/{name}": "busybox" for name in applets}
    users = {"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", "etc/group": b"root:x:0:\n"}
    first = layer({"bin/busybox": busybox.read_bytes(), **links, **users, "etc/gone": b"gone\n", "tmp/.keep": b""},
                  {"bin/busybox": 0o755, "tmp": 0o1777})  # fmt: skip
    second = layer({"etc/.wh.gone": b"", "etc/layer": b"second\n"})
    repository = Repository()
    right = repository.add("latest", [first, second], Env=["PATH=/bin", "BOX=registry"], WorkingDir="/tmp")
    wrong = repository.add("arm", [layer({"bin/busybox": b"not for this machine\n"})], architecture="arm64")
    repository.add_index("many", [wrong, right])
    repository.add_index("other", [wrong])
    return repository


@dataclass(frozen=True)
class Registry:
    """Where it listens, and the paths that it was asked for."""

    port: int
    asked: list[str]


@contextlib.contextmanager
def registry(
    repositories: Mapping[str, Repository], *, certificate: Path | None = None, key: Path | None = None
) -> Iterator[Registry]:
    """Serve the named repositories; gone when the block ends. Over TLS with a certificate and its key."""
    asked: list[str] = []
    with serving.served(_handler(repositories, asked), certificate=certificate, key=key) as port:
        yield Registry(port, asked)


def find(repositories: Mapping[str, Repository], path: str) -> tuple[int, str, bytes]:
    """Status, media type and body of the answer for a path. Pure."""
    if path == "/v2/":
        return 200, "application/json", b"{}"
    match = re.fullmatch(r"/v2/([a-z0-9/._-]+)/(manifests|blobs)/([A-Za-z0-9_.:-]+)", path)
    if match is None:
        return _error(404, "UNSUPPORTED", path)
    name, kind, reference = match.groups()
    repository = repositories.get(name)
    if repository is None:
        return _error(404, "NAME_UNKNOWN", name)
    if kind == "manifests":
        found = repository.manifests.get(reference)
        return (200, *found) if found else _error(404, "MANIFEST_UNKNOWN", reference)
    blob = repository.blobs.get(reference)
    return (200, "application/octet-stream", blob) if blob is not None else _error(404, "BLOB_UNKNOWN", reference)


def _error(status: int, code: str, message: str) -> tuple[int, str, bytes]:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return status, "application/json", body


def _handler(repositories: Mapping[str, Repository], asked: list[str]) -> type[serving.Quiet]:
    class Handler(serving.Quiet):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, media_type, body = find(repositories, self.path)
            asked.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Distribution-API-Version", "registry/2.0")
            if status == 200 and self.path != "/v2/":
                self.send_header("Docker-Content-Digest", digest_of(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

    return Handler
