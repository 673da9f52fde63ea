"""Where to fetch from. No host name is written here: the user's setting, else what the host's own tools are set to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import requests

from photonbuild.config.models import Mirrors
from photonbuild.errors import Interrupted, SourceError
from photonbuild.sandbox import process

APT_DIRS = Path("/etc/apt")
GO_SETTINGS = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE")
BUSY = (429, 500, 502, 503, 504)
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def debian_mirrors(settings: Mirrors, apt: Path = APT_DIRS) -> tuple[str, ...]:
    """Base URLs of Debian archives, best first: the user's, those of sources.list(5), mmdebstrap's default."""
    found: list[str] = []
    if settings.debian:
        return (settings.debian.rstrip("/"),)
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix in (".list", ".sources") and path.is_file():
            found += apt_uris(path.read_text(encoding="utf-8", errors="replace").splitlines())
    program = shutil.which("mmdebstrap")
    if program:
        text = Path(program).read_text(encoding="utf-8", errors="replace")
        found += re.findall(r"\$mirror\s*=\s*'(https?://[^']+/debian)'", text)
    unique = tuple(dict.fromkeys(uri.rstrip("/") for uri in found))
    if not unique:
        raise SourceError(
            "no Debian archive is known",
            where=str(apt),
            hint="install mmdebstrap, or set 'mirrors: {debian: URL}' in the user configuration",
        )
    return unique


def apt_uris(lines: Iterable[str]) -> list[str]:
    """URIs of main Debian archives in a sources.list(5) file of either format."""
    found = []
    for line in lines:
        if re.match(r"(deb(-src)?\s|URIs:)", line):
            found += [
                word
                for word in line.split()
                if urlsplit(word).scheme in ("http", "https") and urlsplit(word).path.rstrip("/").endswith("/debian")
            ]
    return found


def go_environment(settings: Mirrors) -> dict[str, str]:
    """Go's own network settings as the host has them (`go env`, else the environment); empty means Go's defaults."""
    values = {name: os.environ[name] for name in GO_SETTINGS if os.environ.get(name)}
    if shutil.which("go"):
        done = subprocess.run(["go", "env", *GO_SETTINGS], capture_output=True, text=True, check=False, cwd="/")
        if done.returncode == 0:
            values |= {n: v for n, v in zip(GO_SETTINGS, done.stdout.splitlines(), strict=False) if v}
    if settings.go:
        values["GOPROXY"] = settings.go
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        if name in os.environ:
            values[name] = os.environ[name]
    return values


def host_certificates() -> Path | None:
    """The host's bundle of certificate authorities, for programs in the seed that use the network."""
    names = [os.environ.get("SSL_CERT_FILE", ""), *CERTIFICATES]
    return next((Path(name) for name in names if name and Path(name).is_file()), None)


def download(url: str, target: Path) -> None:
    """Fetch `url` to `target`, up to four times when the network fails or the server is busy.

    Raises SourceError that names the URL. The caller checks the digest.
    """
    for pause in (1.0, 4.0, 10.0, None):
        try:
            _download(url, target)
            return
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as exc:
            if pause is None:
                raise SourceError(f"{url}: {exc.__class__.__name__}") from exc
            time.sleep(pause)
        except requests.RequestException as exc:
            raise SourceError(f"{url}: {exc}") from exc


def _download(url: str, target: Path) -> None:
    bundle = host_certificates()
    with requests.get(url, stream=True, timeout=(15, 120), verify=str(bundle) if bundle else True) as answer:
        if answer.status_code in BUSY:
            raise requests.ConnectionError(f"HTTP {answer.status_code}")
        if answer.status_code != 200:
            raise SourceError(f"{url}: HTTP {answer.status_code} {answer.reason}")
        with open(target, "wb") as handle:
            for chunk in answer.iter_content(1 << 20):
                if process.ended():
                    raise Interrupted("interrupted")
                handle.write(chunk)
