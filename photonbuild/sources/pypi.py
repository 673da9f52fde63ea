"""The index of Python packages that the host's pip is set to: PEP 691, PEP 700, or the HTML of PEP 503."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from photonbuild.config.models import Mirrors
from photonbuild.errors import SourceError
from photonbuild.sources.certificates import trusted

JSON = "application/vnd.pypi.simple.v1+json"
# Indexes that keep to the older form say so in the answer.
ACCEPT = f"{JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# pip's own default is in pip alone.
DEFAULT = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


@cache
def _of_pip() -> str | None:
    if found := os.environ.get("PIP_INDEX_URL"):
        return found
    for argv in (["-m", "pip", "config", "get", "global.index-url"], ["-c", DEFAULT]):
        done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, cwd="/")
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    return None


def index_url(settings: Mirrors) -> str:
    """Base URL of the index. Raises SourceError where none is known."""
    found = settings.pypi or _of_pip()
    if not found:
        raise SourceError("no index of Python packages is known", hint="set 'mirrors: {pypi: URL}'")
    return found.rstrip("/")


def project(settings: Mirrors, name: str) -> dict[str, Any]:
    """What the index says of a project. Raises SourceError."""
    url = f"{index_url(settings)}/{re.sub(r'[-_.]+', '-', name).lower()}/"
    try:
        answer = requests.get(url, headers={"Accept": ACCEPT}, timeout=(15, 60), verify=trusted())
        if answer.status_code != 200:
            raise SourceError(f"{url}: HTTP {answer.status_code}")
        is_html = answer.headers.get("Content-Type", "").partition(";")[0].strip().endswith("html")
        found: Any = in_html(answer.text) if is_html else answer.json()
    except (requests.RequestException, ValueError) as exc:
        raise SourceError(f"{url}: {exc.__class__.__name__}") from exc
    if not isinstance(found, dict) or not isinstance(found.get("files"), list):
        raise SourceError(f"{url}: no index of files")
    return {**found, "url": url}


class _Anchors(HTMLParser):
    """The addresses of a page's links, by their texts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._address: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._address = dict(attrs).get("href")

    def handle_data(self, data: str) -> None:
        if self._address and data.strip():
            self.found[data.strip()] = self._address.partition("#")[0]
            self._address = None


def in_html(text: str) -> dict[str, Any]:
    """What a page of the older form says, as the newer one says it; versions are those of the names of files."""
    page = _Anchors()
    page.feed(text)
    files = [{"filename": name, "url": address} for name, address in page.found.items()]
    return {"files": files, "versions": sorted(filter(None, map(_version, page.found)))}


def _version(file: str) -> str:
    try:
        return str(parse_wheel_filename(file)[1] if file.endswith(".whl") else parse_sdist_filename(file)[1])
    except (InvalidSdistFilename, InvalidWheelFilename, InvalidVersion):
        return ""


def file_url(settings: Mirrors, name: str, file: str) -> str:
    """Where the index has this file of a project. Raises SourceError."""
    found = project(settings, name)
    for each in found["files"]:
        if isinstance(each, dict) and each.get("filename") == file:
            return str(urljoin(found["url"], str(each.get("url"))))
    raise SourceError(f"{found['url']}: no file {file}")


def newest(settings: Mirrors, name: str) -> str | None:
    """The newest release of a project that is no pre-release, where the index tells its versions."""
    versions = []
    for text in project(settings, name).get("versions", []):
        try:
            versions.append(Version(text))
        except (InvalidVersion, TypeError):
            continue
    return str(max((v for v in versions if not v.is_prerelease), default="")) or None
