"""A registry of tiny crates, served as cargo's sparse protocol has it.

See https://doc.rust-lang.org/cargo/reference/registry-index.html.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support import serving


@dataclass(frozen=True, kw_only=True)
class Crate:
    """A crate of version 1.0.0: `files` by name beside its manifest. `needs`: crate → platform, empty for any."""

    name: str
    files: Mapping[str, str]
    needs: Mapping[str, str] = field(default_factory=dict)
    manifest: str = ""

    @property
    def archive(self) -> bytes:
        """The .crate file."""
        tables = "".join(
            f'[{f"target.{json.dumps(platform)}." if platform else ""}dependencies.{name}]\nversion = "1"\n'
            for name, platform in self.needs.items()
        )
        head = f'[package]\nname = "{self.name}"\nversion = "1.0.0"\nedition = "2021"\nlicense = "MIT"\n'
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, text in {"Cargo.toml": head + self.manifest + tables, **self.files}.items():
                info = tarfile.TarInfo(f"{self.name}-1.0.0/{name}")
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
        return gzip.compress(packed.getvalue(), mtime=0)

    @property
    def line(self) -> dict[str, object]:
        """What the index says of it."""
        deps: list[dict[str, object]] = [
            {
                "name": name,
                "req": "^1",
                "features": [],
                "optional": False,
                "default_features": True,
                "target": platform or None,
                "kind": "normal",
            }
            for name, platform in self.needs.items()
        ]
        cksum = hashlib.sha256(self.archive).hexdigest()
        return {"name": self.name, "vers": "1.0.0", "deps": deps, "cksum": cksum, "features": {}, "yanked": False}


@dataclass
class Registry:
    """A registry that runs. `files`: what it serves by path; `asked`: every path that was asked for."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def index(self) -> str:
        return f"sparse+http://127.0.0.1:{self.port}/index/"


def index_path(name: str) -> str:
    """Where the index has a crate whose name is longer than three letters."""
    return f"/index/{name[:2]}/{name[2:4]}/{name}"


@contextlib.contextmanager
def registry(crates: Sequence[Crate]) -> Iterator[Registry]:
    """On this machine's loopback, until the block ends."""
    served = Registry()
    with serving.served(serving.contents(served.files, served.asked)) as served.port:
        place = f"http://127.0.0.1:{served.port}"
        served.files["/index/config.json"] = json.dumps({"dl": f"{place}/files/{{crate}}-{{version}}"}).encode()
        for crate in crates:
            served.files[index_path(crate.name)] = json.dumps(crate.line).encode() + b"\n"
            served.files[f"/files/{crate.name}-1.0.0"] = crate.archive
        yield served
