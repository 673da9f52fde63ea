"""Where to fetch from. No host name is written here: the user's setting, else what the host's own tools are set to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from photonbuild.config.models import Mirrors
from photonbuild.errors import Interrupted, SourceError
from photonbuild.sandbox import process
from photonbuild.sources.certificates import trusted

APT_DIRS = Path("/etc/apt")
GO_SETTINGS = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
CARGO_SETTINGS = ("CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_")
CARGO_TABLES = ("source", "registry", "registries", "http", "net")
SNAPSHOT = r"(https?://.+)/archive/{name}/[0-9]{{8}}T[0-9]{{6}}Z$"
BUSY = (429, 500, 502, 503, 504)
LARGEST = 8 << 30  # bytes of a file whose size is not locked
SLOWEST, SLOW_SECONDS = 1024, 60.0  # bytes/s that a server must give, as a mean over this time
REDIRECTIONS = 10


def debian_mirrors(settings: Mirrors, apt: Path = APT_DIRS) -> tuple[str, ...]:
    """Base URLs of Debian archives, best first: the user's, those of sources.list(5), mmdebstrap's default."""
    if settings.debian:
        return (settings.debian.rstrip("/"),)
    unique = _archives("debian", apt)
    if not unique:
        raise SourceError(
            "no Debian archive is known",
            where=str(apt),
            hint="install mmdebstrap, or set 'mirrors: {debian: URL}' in the user configuration",
        )
    return unique


def security_mirrors(settings: Mirrors, apt: Path = APT_DIRS) -> tuple[str, ...]:
    """Base URLs of archives of Debian's security updates, found as the main ones are. There may be none."""
    if settings.debian_security:
        return (settings.debian_security.rstrip("/"),)
    return _archives("debian-security", apt)


def archives_of(path: str, settings: Mirrors, apt: Path = APT_DIRS) -> tuple[str, ...]:
    """The archives that may have this path: the security archive's pool is ``pool/updates``. Raises SourceError."""
    if not path.startswith("pool/updates/"):
        return debian_mirrors(settings, apt)
    found = security_mirrors(settings, apt)
    if not found:
        raise SourceError(
            "no archive of Debian's security updates is known",
            where=str(apt),
            hint="set 'mirrors: {debian_security: URL}' in the user configuration",
        )
    return found


def snapshot_service(settings: Mirrors, apt: Path = APT_DIRS) -> str | None:
    """Base URL of a service that has every file of the archives by its SHA-1: the user's, or one that apt is set to."""
    if settings.snapshot:
        return settings.snapshot.rstrip("/")
    for name in ("debian", "debian-security"):
        for uri in _archives(name, apt):
            if found := re.match(SNAPSHOT.format(name=name), uri):
                return found[1]
    return None


def _archives(name: str, apt: Path) -> tuple[str, ...]:
    """Base URLs of archives of this name: those of the host's apt, else those that mmdebstrap knows."""
    found: list[str] = []
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix in (".list", ".sources") and path.is_file():
            found += apt_uris(path.read_text(encoding="utf-8", errors="replace").splitlines(), name)
    program = shutil.which("mmdebstrap")
    if program:
        text = Path(program).read_text(encoding="utf-8", errors="replace")
        found += re.findall(rf"'(https?://[^'\s]+/{name})'", text)
    return tuple(dict.fromkeys(uri.rstrip("/") for uri in found))


def apt_uris(lines: Iterable[str], name: str = "debian") -> list[str]:
    """URIs of the archives of this name in a sources.list(5) file of either format, also as they were at one time."""
    found = []
    for line in lines:
        if re.match(r"(deb(-src)?\s|URIs:)", line):
            for word in line.split():
                uri = word.rstrip("/")
                if urlsplit(uri).scheme in ("http", "https") and (
                    urlsplit(uri).path.endswith(f"/{name}") or re.match(SNAPSHOT.format(name=name), uri)
                ):
                    found.append(word)
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
    return values | {name: os.environ[name] for name in PROXIES if name in os.environ}


def cargo_environment() -> dict[str, str]:
    """cargo's own network settings of the host's environment."""
    return {name: value for name, value in os.environ.items() if name.startswith(CARGO_SETTINGS) or name in PROXIES}


def cargo_configuration(settings: Mirrors) -> str:
    """A configuration file that lets cargo fetch from where the host's cargo would, or from the user's setting.

    Only what says where and how to fetch is taken from the host's file: it may also replace the compiler.
    """
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    path = next((home / name for name in ("config.toml", "config") if (home / name).is_file()), None)
    found: dict[str, Any] = {}
    if path is not None:
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise SourceError(f"the host's configuration of cargo cannot be read: {error}", where=str(path)) from None
    found = {table: found[table] for table in CARGO_TABLES if table in found}
    if "http" in found:
        # A path of the host: the certificates have another one inside.
        found["http"] = {key: value for key, value in found["http"].items() if key != "cainfo"}
    if settings.cargo:
        found["source"] = {"crates-io": {"replace-with": "mirror"}, "mirror": {"registry": settings.cargo}}
    return "".join(f"{line}\n" for line in _toml_lines(found, ()))


def _toml_lines(table: dict[str, Any], prefix: tuple[str, ...]) -> Iterator[str]:
    """A table as TOML, each value with its whole key. JSON's texts, numbers and lists of them are also TOML's."""
    for key, value in table.items():
        names = (*prefix, json.dumps(key))
        if isinstance(value, dict):
            yield from _toml_lines(value, names)
        else:
            yield f"{'.'.join(names)} = {json.dumps(value, ensure_ascii=False)}"


def download(url: str, target: Path, *, limit: int | None = None) -> None:
    """Fetch `url` to `target`, up to four times when the network fails or the server is busy.

    `limit`: bytes of the file where that is known; more are not taken, and never more than `LARGEST`. Raises
    SourceError that names the URL. The caller checks the digest.
    """
    for pause in (1.0, 4.0, 10.0, None):
        try:
            with _Plain() as session:
                _download(session, url, target, limit)
            return
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as exc:
            if pause is None:
                raise SourceError(f"{url}: {exc.__class__.__name__}") from exc
            time.sleep(pause)
        except (requests.RequestException, ValueError) as exc:
            raise SourceError(f"{url}: {exc}") from exc


def is_served(url: str) -> bool:
    """Does the server say that it would give this file? It is not fetched."""
    try:
        with requests.head(url, allow_redirects=True, timeout=(15, 60), verify=trusted()) as answer:
            return answer.status_code == 200
    except (requests.RequestException, ValueError):
        return False


class _Plain(requests.Session):
    """A session that follows no redirection by itself: it would read a body first, however long."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _download(session: requests.Session, url: str, target: Path, limit: int | None) -> None:
    # The file as it is: a server that packs it on the way would give other bytes, or any number of them.
    plain = {"Accept-Encoding": "identity"}
    place = url
    for _ in range(REDIRECTIONS):
        with session.get(place, stream=True, timeout=(15, 120), verify=trusted(), headers=plain) as answer:
            if answer.is_redirect:
                place = urljoin(place, answer.headers["Location"])
                continue
            if answer.status_code in BUSY:
                raise requests.ConnectionError(f"HTTP {answer.status_code}")
            if answer.status_code != 200:
                raise SourceError(f"{url}: HTTP {answer.status_code} {answer.reason}")
            most = LARGEST if limit is None else limit
            _check_size(url, int(answer.headers.get("Content-Length") or 0), most)
            with open(target, "wb") as handle:
                _receive(answer, url, handle, most)
            return
    raise SourceError(f"{url}: redirected more than {REDIRECTIONS} times")


def _receive(answer: requests.Response, url: str, handle: IO[bytes], most: int) -> None:
    size, counted, since = 0, 0, time.monotonic()
    # What there is, not a full block of it: a server that drips would fill one at its leisure.
    while chunk := answer.raw.read1(1 << 20):
        if process.ended():
            raise Interrupted("interrupted")
        size += len(chunk)
        _check_size(url, size, most)
        handle.write(chunk)
        passed = time.monotonic() - since
        if passed >= SLOW_SECONDS:
            if (size - counted) / passed < SLOWEST:
                raise SourceError(f"{url}: fewer than {SLOWEST} bytes/s for {passed:.0f} s")
            counted, since = size, time.monotonic()
    if answer.raw.length_remaining:
        raise requests.ConnectionError(f"{answer.raw.length_remaining} bytes are missing")


def _check_size(url: str, size: int, most: int) -> None:
    if size > most:
        raise SourceError(f"{url}: larger than {most} bytes")
