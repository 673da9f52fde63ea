"""Addresses of publications: a folder, ssh://[USER@]HOST[:PORT]/FOLDER, s3://BUCKET[/PREFIX], https://…"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from photonbuild.documents import nearest
from photonbuild.errors import ConfigError
from photonbuild.storage.folder import Folder
from photonbuild.storage.interface import Reader, Storage

SCHEMES = ("file", "ssh", "s3", "http", "https")


def open_reader(target: str, named: Mapping[str, str]) -> Reader:
    """The publication at an address, or at that of a name of `named`. Raises ConfigError."""
    address = named.get(target, target)
    if address.partition("://")[0] in ("http", "https"):
        from photonbuild.storage.web import Web

        return Web(address.rstrip("/"))
    return open_storage(target, named)


def open_storage(target: str, named: Mapping[str, str]) -> Storage:
    """As `open_reader`, where it can be written to. Raises ConfigError."""
    address = named.get(target, target)
    scheme, colon, _ = address.partition("://")
    if not colon:
        if "/" not in address and target not in named and not Path(address).is_dir():
            hint = f"known: {', '.join(sorted(named)) or 'none'}; a folder is named with a slash: ./{address}"
            raise ConfigError(f"unknown target '{address}'{nearest(address, named)}", hint=hint)
        return Folder(Path(address).expanduser().absolute())
    parts = urlsplit(address)
    if scheme == "file":
        return Folder(Path(unquote(parts.path)))
    if scheme == "ssh" and parts.hostname and parts.path not in ("", "/"):
        from photonbuild.storage.ssh import Ssh

        return Ssh.at(parts)
    if scheme == "s3" and parts.netloc:
        from photonbuild.storage.s3 import S3

        return S3.at(bucket=parts.netloc, prefix=parts.path.strip("/"))
    if scheme in ("http", "https"):
        raise ConfigError("a web server can only be read from", where=address)
    raise ConfigError(f"no address of a publication: '{address}'", hint=f"one begins with {', '.join(SCHEMES)}")
