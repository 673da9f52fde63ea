"""A small archive of Debian's form on this machine, with indexes signed by a key of its own, and a snapshot service."""

from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import serving

SUITE = "trixie"


@dataclass(frozen=True)
class Archive:
    """`root` is served at `url`: debian/, debian-security/ and file/SHA1."""

    root: Path
    url: str

    @property
    def settings(self) -> dict[str, str]:
        return {
            "debian": f"{self.url}/debian",
            "debian_security": f"{self.url}/debian-security",
            "debian_keyring": str(self.root / "key.gpg"),
            "snapshot": self.url,
        }

    def add(self, name: str, version: str, files: Mapping[str, bytes], *, security: bool = False) -> None:
        """A source package; `sign` lists it."""
        folder = f"pool/{'updates/' if security else ''}main/{name[0]}/{name}"
        base = self.root / ("debian-security" if security else "debian")
        (base / folder).mkdir(parents=True, exist_ok=True)
        lines = ""
        for file, content in files.items():
            (base / folder / file).write_bytes(content)
            (self.root / "file").mkdir(exist_ok=True)
            (self.root / "file" / hashlib.sha1(content).hexdigest()).write_bytes(content)
            lines += f" {hashlib.sha256(content).hexdigest()} {len(content)} {file}\n"
        with (base / "Sources").open("a") as index:
            index.write(
                f"Package: {name}\nBinary: {name}\nVersion: {version}\nFormat: 3.0 (quilt)\n"
                f"Directory: {folder}\nChecksums-Sha256:\n{lines}\n"
            )

    def sign(self) -> None:
        """The indexes of both archives, signed."""
        home = self.root / "gnupg"
        home.mkdir(mode=0o700)
        gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
        subprocess.run([*gpg, "--quick-gen-key", "archive@example", "rsa2048", "sign"], check=True)
        key = subprocess.run([*gpg, "--export"], check=True, capture_output=True).stdout
        (self.root / "key.gpg").write_bytes(key)
        for base, suite in (("debian", SUITE), ("debian-security", f"{SUITE}-security")):
            folder = self.root / base / "dists" / suite
            (folder / "main" / "source").mkdir(parents=True)
            listed = self.root / base / "Sources"
            index = listed.read_bytes() if listed.exists() else b""
            (folder / "main" / "source" / "Sources").write_bytes(index)
            release = (
                f"Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: Sat, 01 Nov 2025 00:00:00 UTC\n"
                f"Components: main\nArchitectures: amd64\nSHA256:\n"
                f" {hashlib.sha256(index).hexdigest()} {len(index)} main/source/Sources\n"
            )
            signed = subprocess.run([*gpg, "--clearsign"], input=release.encode(), capture_output=True, check=True)
            (folder / "InRelease").write_bytes(signed.stdout)
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


@contextlib.contextmanager
def served(root: Path) -> Iterator[Archive]:
    root.mkdir(parents=True, exist_ok=True)
    with serving.served(serving.folder(root)) as port:
        yield Archive(root=root, url=f"http://127.0.0.1:{port}")


def tar_of(files: Mapping[str, str]) -> bytes:
    """A .tar.xz of these texts by their names, the same each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()
