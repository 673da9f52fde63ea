"""Where an engine is, and what shows who we are: an address, files of certificates, a token."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from photonbuild.errors import ConfigError

SCHEMES = {"grpc": False, "grpcs": True}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A server of the Remote Execution API.

    `target`: host:port. `instance`: the server's instance name, often empty. `authority`: certificates that the
    server's must come from, instead of the system's; `certificate` and `key`: the client's own; `token_file` holds a
    bearer token.
    """

    target: str
    instance: str = ""
    tls: bool = True
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token_file: Path | None = None

    @property
    def address(self) -> str:
        """As the user writes it."""
        scheme = "grpcs" if self.tls else "grpc"
        return f"{scheme}://{self.target}" + (f"/{self.instance}" if self.instance else "")


def token_of(path: Path) -> str:
    """The bearer token in a file. Raises ConfigError, which does not repeat it."""
    try:
        token = path.expanduser().read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(f"the token cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        token = ""
    # RFC 6750, section 2.1. A client that refuses anything else shows it.
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):
        hint = "one line of letters, digits and '-._~+/=', and nothing else"
        raise ConfigError("this is no bearer token", where=str(path), hint=hint)
    return token


def endpoint(
    address: str,
    *,
    authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    token_file: Path | None = None,
) -> Endpoint:
    """Of ``grpcs://HOST:PORT/INSTANCE`` or, without encryption, ``grpc://…``. Raises ConfigError."""
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES or not parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"'{address}' is no address of an engine", hint="grpcs://HOST:PORT, or grpc://HOST:PORT")
    if "@" in parts.netloc:
        raise ConfigError("an address holds no password", hint="remote: {token_file: FILE} in your own settings")
    tls = SCHEMES[parts.scheme]
    if (certificate is None) != (key is None):
        raise ConfigError("a client's certificate and its key belong together", hint="give both, or none")
    if not tls and (certificate or token_file):
        raise ConfigError(f"{address} is not encrypted: it gets neither a token nor a certificate", hint="grpcs://")
    for path in filter(None, (authority, certificate, key, token_file)):
        if not path.is_file():
            raise ConfigError("no such file", where=str(path))
    for path in filter(None, (key, token_file)):
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError("others may read this secret", where=str(path), hint=f"chmod 600 {path}")
    return Endpoint(
        target=parts.netloc,
        instance=parts.path.strip("/"),
        tls=tls,
        authority=authority,
        certificate=certificate,
        key=key,
        token_file=token_file,
    )
