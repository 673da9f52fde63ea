"""The registry of the boot tests, asked as a client that pulls an image does."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.registry import INDEX, MANIFEST, box_repository, digest_of, registry


def test_pull(tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"program")
    with registry({"box": box_repository(busybox, ["sh", "cat"])}) as served:

        def get(path: str, method: str = "GET") -> tuple[str, bytes]:
            request = urllib.request.Request(f"http://127.0.0.1:{served.port}/v2/{path}", method=method)
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.headers["Content-Type"], reply.read()

        assert get("")[1] == b"{}"
        assert get("box/manifests/latest", "HEAD") == (MANIFEST, b"")
        kind, body = get("box/manifests/many")
        index = json.loads(body)
        assert kind == INDEX
        chosen = next(entry for entry in index["manifests"] if entry["platform"]["architecture"] == "amd64")
        kind, body = get(f"box/manifests/{chosen['digest']}")
        assert (kind, digest_of(body), len(body)) == (MANIFEST, chosen["digest"], chosen["size"])
        manifest = json.loads(body)
        config = json.loads(get(f"box/blobs/{manifest['config']['digest']}")[1])
        layers = [gzip.decompress(get(f"box/blobs/{entry['digest']}")[1]) for entry in manifest["layers"]]
        assert [digest_of(content) for content in layers] == config["rootfs"]["diff_ids"]
        with tarfile.open(fileobj=io.BytesIO(layers[0])) as tar:
            program = tar.extractfile("bin/busybox")
            assert program is not None and program.read() == b"program"
            assert tar.getmember("bin/busybox").mode == 0o755
            assert tar.getmember("bin/sh").linkname == "busybox"
        for wrong in ("box/manifests/none", "none/manifests/latest", f"box/blobs/sha256:{'0' * 64}", "box"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(wrong)
        assert "HEAD /v2/box/manifests/latest" in served.asked
