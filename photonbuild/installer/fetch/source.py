"""Where a kickstart, a file or a package is, as a user names it: https, the medium, another medium, this system."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

from photonbuild.installer.errors import KickstartError
from photonbuild.installer.kickstart.urls import redacted

FORMS = "https://…, cdrom:/…, LABEL=…:/… or file:/…"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where something is: `scheme` https, http, cdrom, label or file; `path` is below the medium, absolute."""

    scheme: str
    text: str
    path: str = ""
    label: str = ""

    @property
    def remote(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def name(self) -> str:
        """What messages call it: a URL without user, password and query."""
        return redacted(self.text)


def parse_source(text: str, *, base: Source | None = None) -> Source:
    """One of FORMS, or with `base` a path beside what that names. Raises KickstartError."""
    scheme, colon, rest = text.partition(":")
    if scheme in ("http", "https"):
        return Source(scheme=scheme, text=_checked_url(text))
    if scheme in ("cdrom", "file") and rest.startswith("/"):
        return Source(scheme=scheme, text=text, path=_plain(rest, text))
    if scheme.startswith("LABEL=") and rest.startswith("/") and scheme != "LABEL=":
        return Source(scheme="label", text=text, label=scheme.removeprefix("LABEL="), path=_plain(rest, text))
    if base is not None and not colon:
        if base.remote:
            return parse_source(urllib.parse.urljoin(base.text, urllib.parse.quote(text)))
        path = text if text.startswith("/") else f"{base.path.rpartition('/')[0]}/{text}"
        prefix = f"LABEL={base.label}" if base.scheme == "label" else base.scheme
        return parse_source(f"{prefix}:{path}")
    raise KickstartError(f"'{text}' is not of a known form", hint=f"write {FORMS}")


# Where the published installer has its medium.
MEDIUM = "/mnt/media"


def candidates(text: str, base: Source | None, search: Sequence[str]) -> list[Source]:
    """Where a file of a kickstart may be: what it says itself, or a path beside `base` or in a folder of `search`.

    Raises KickstartError.
    """
    if ":" in text or not (search or text.startswith("/")):
        return [parse_source(text, base=base)]
    found = [parse_source(text, base=base)] if base else []
    folders = ["" if text.startswith("/") else f"{folder.rstrip('/')}/" for folder in search] or [""]
    return list(dict.fromkeys([*found, *(_of_folder(f"{folder}{text}") for folder in folders)]))


def _of_folder(text: str) -> Source:
    """A path of the live system, or what the published installer calls so."""
    if text == MEDIUM or text.startswith(f"{MEDIUM}/"):
        return parse_source(f"cdrom:/{text.removeprefix(MEDIUM).lstrip('/')}")
    return parse_source(text if ":" in text else f"file:{text}")


def _checked_url(text: str) -> str:
    """A URL that can be asked for. What is wrong with it is said without repeating it: it may hold a password."""
    try:
        parts = urllib.parse.urlsplit(text)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not text.isascii() or not text.isprintable() or " " in text:
        hint = "write it as https://HOST/PATH; other characters than those of ASCII, and spaces, as %20 and so on"
        raise KickstartError(f"this is no URL that can be asked for: {redacted(text).split()[0]}", hint=hint)
    return text


def _plain(path: str, text: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise KickstartError(f"'{text}' leads out of where it begins", hint="write it without '..'")
    return "/" + "/".join(parts)
