"""Reads and fetches sources: over https, from the medium, from another medium, from this system."""

from __future__ import annotations

import base64
import contextlib
import http.client
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from photonbuild.installer.errors import FetchError
from photonbuild.installer.fetch.source import Source, candidates, parse_source
from photonbuild.installer.kickstart.urls import redacted
from photonbuild.installer.paths import Paths
from photonbuild.run import run

ATTEMPTS = 5
TIMEOUT = 30
TEXT_LIMIT = 1 << 20
CHUNK = 1 << 20
AGENT = "photonbuild-installer"
MEMORY_HINT = "what is fetched is kept in memory until it is installed: give the machine more"


@dataclass
class Fetcher:
    """Reads sources and brings them into this system. Media that it mounts stay until the context ends.

    `insecure` allows http. `proxy` is the URL of one, which may have user and password. `blocks` is where the kernel
    lists its block devices. `online` is a command that waits for the network; it is run once, before the first
    transfer. `trusted` are the authorities that servers' certificates may come from; `authorities` are those of them
    that `trust` was given, in PEM form.
    """

    paths: Paths
    blocks: Path = Path("/sys/class/block")
    insecure: bool = False
    proxy: str = ""
    pause: float = 1.0
    online: Sequence[str] = ()
    mounted: dict[str, Path] = field(default_factory=dict)
    trusted: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    authorities: str = ""
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def trust(self, source: Source) -> None:
        """Take the certificates in a PEM file for authorities as well. Raises FetchError."""
        if source.remote:
            raise FetchError("a certificate to trust cannot come from a server", where=source.name)
        text = self.read_text(source)
        try:
            self.trusted.load_verify_locations(cadata=text)
        except ssl.SSLError as error:
            raise FetchError(f"this is no certificate in PEM form: {error}", where=source.name) from None
        # An authority of one's own is often made without the extensions that Python, alone among clients, insists on.
        self.trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.authorities += f"{text}\n"

    def find_on_label(self, label: str, names: Sequence[str]) -> Source | None:
        """The first of the files `names` on the file system with that label, if there is one."""
        if run(["findfs", f"LABEL={label}"], check=False).returncode:
            return None
        found = [parse_source(f"LABEL={label}:/{name}") for name in names]
        folder = self._mount(f"LABEL={label}", found[0])
        there = [source for source in found if (folder / source.path.lstrip("/")).is_file()]
        if not there:
            raise FetchError(f"the medium labelled {label} has none of the files {', '.join(names)}")
        return there[0]

    def read_text(self, source: Source) -> str:
        """A small text file. Raises FetchError."""
        if source.remote:
            data = b""
            for chunk in self._chunks(source):
                data += chunk
                if len(data) > TEXT_LIMIT:
                    break
        else:
            path = self.local(source)
            if path.is_dir():
                raise FetchError("this is a folder, not a file", where=source.name)
            with open(path, "rb") as handle:
                data = handle.read(TEXT_LIMIT + 1)
        if len(data) > TEXT_LIMIT:
            raise FetchError(f"this is larger than {TEXT_LIMIT >> 20} MiB", where=source.name)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FetchError(f"this is no UTF-8 text: {error}", where=source.name) from None

    def fetch(self, source: Source, target: Path) -> Path:
        """A file or folder: fetched to `target` when it is remote. Raises FetchError."""
        if not source.remote:
            return self.local(source)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "wb") as handle:
                for chunk in self._chunks(source):
                    handle.write(chunk)
        except OSError as error:
            raise FetchError(f"it cannot be kept: {error.strerror}", where=source.name, hint=MEMORY_HINT) from None
        return target

    def find(self, text: str, base: Source | None, search: Sequence[str], target: Path) -> tuple[Source, Path]:
        """A file or folder by its source, or by a path beside the kickstart or in the first folder that has it.

        What is remote is fetched to `target`. Raises KickstartError and FetchError.
        """
        tried: list[FetchError] = []
        for source in candidates(text, base, search):
            try:
                return source, self.fetch(source, target)
            except FetchError as error:
                tried.append(error)
        if len(tried) == 1:
            raise tried[0]
        raise FetchError(
            f"'{redacted(text)}' is in none of {len(tried)} places", detail="\n".join(str(error) for error in tried)
        )

    def require_safe(self, source: Source) -> None:
        """Raises FetchError for what anybody on the way could change."""
        if source.scheme == "http" and not self.insecure:
            raise FetchError(
                "http is refused: anyone on the way could change what is installed",
                where=source.name,
                hint="use https, or write insecure_installation=1 on the kernel command line",
            )

    def go_online(self) -> None:
        """Wait for the network, the first time."""
        if self.online:
            run(self.online, check=False)
            self.online = ()

    def local(self, source: Source) -> Path:
        """Path of what is on a medium or in this system. Raises FetchError when it is not there."""
        tried = []
        for root in self._roots(source):
            path = root / source.path.lstrip("/")
            if path.exists():
                return path
            tried.append(str(root))
        raise FetchError(f"no such file, looked in {', '.join(tried)}", where=source.name)

    def _roots(self, source: Source) -> Iterator[Path]:
        if source.scheme == "file":
            yield Path("/")
        elif source.scheme == "label":
            yield self._mount(f"LABEL={source.label}", source)
        else:
            yield self.paths.medium
            for device in sorted(self.blocks.glob("sr*")):
                with contextlib.suppress(FetchError):
                    yield self._mount(f"/dev/{device.name}", source)

    def _mount(self, device: str, source: Source) -> Path:
        if device not in self.mounted:
            folder = self.paths.media / device.replace("/", "_").replace("=", "-")
            folder.mkdir(parents=True, exist_ok=True)
            done = run(["mount", "-o", "ro", device, folder], check=False)
            if done.returncode:
                raise FetchError(f"{device} cannot be mounted", where=source.name, detail=done.stderr.strip() or None)
            self._stack.callback(run, ["umount", folder], check=False)
            self.mounted[device] = folder
        return self.mounted[device]

    def _chunks(self, source: Source) -> Iterator[bytes]:
        """What a server sends. Raises FetchError, also where that ends before all has come."""
        self.require_safe(source)
        with self._open(source) as answer:
            while True:
                try:
                    chunk = answer.read(CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise FetchError(f"the transfer broke off: {error}", where=source.name) from None
                if not chunk:
                    break
                yield chunk
            # Of a connection that is closed early http.client says nothing.
            if answer.length:
                raise FetchError(f"the transfer broke off: {answer.length} bytes are missing", where=source.name)

    def _open(self, source: Source) -> http.client.HTTPResponse:
        self.go_online()
        handlers = [Redirects(self.insecure), urllib.request.HTTPSHandler(context=self.trusted)]
        if self.proxy:
            handlers.append(urllib.request.ProxyHandler({"http": self.proxy, "https": self.proxy}))
        opener = urllib.request.build_opener(*handlers)
        request = _request(source)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT)
                return answer
            except urllib.error.HTTPError as error:
                if error.code < 500 or attempt == ATTEMPTS:
                    raise FetchError(f"the server answers {error.code} {error.reason}", where=source.name) from None
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", error)
                if attempt == ATTEMPTS or isinstance(reason, ssl.SSLCertVerificationError):
                    raise FetchError(
                        f"not to be reached: {reason}",
                        where=source.name,
                        hint="name its authority with installer.ca= on the kernel command line"
                        if isinstance(reason, ssl.SSLCertVerificationError)
                        else "see 'networkctl status' and 'resolvectl query' for the network",
                    ) from None
            time.sleep(self.pause * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")


def _request(source: Source) -> urllib.request.Request:
    """With user and password of the URL, where it has them, as a header for that server only."""
    parts = urllib.parse.urlsplit(source.text)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl(), headers={"User-Agent": AGENT})
    if at:
        words = base64.b64encode(urllib.parse.unquote_to_bytes(user)).decode()
        request.add_unredirected_header("Authorization", f"Basic {words}")
    return request


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to something weaker."""

    def __init__(self, insecure: bool) -> None:
        self.insecure = insecure

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        if not newurl.startswith("https://") and not (self.insecure and newurl.startswith("http://")):
            raise FetchError(
                f"the server leads to {redacted(newurl)}, which is not https", where=redacted(req.full_url)
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)
