"""Signatures of entries: Ed25519 (RFC 8032) in a DSSE envelope, https://github.com/secure-systems-lab/dsse.

DSSE is what in-toto and sigstore sign with: the type of what is signed is under the signature, and nothing is parsed
before it is verified. A public key is written NAME:BASE64, as one word; a private key is a PKCS#8 PEM file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photonbuild.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PAYLOAD = "application/vnd.photonbuild.cache-entry+json"
VARIABLE = "PHOTONBUILD_CACHE_KEY"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MOST_SIGNATURES = 16


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """Whose entries are believed. `id`: the first digits of the SHA-256 of its 32 bytes."""

    name: str
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """From NAME:BASE64. Raises ConfigError."""
        name, _, rest = text.partition(":")
        try:
            raw = base64.b64decode(rest, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != 32 or not NAME.fullmatch(name):
            raise ConfigError(f"'{text[:60]}' is no public key", hint="photonbuild cache key show prints one")
        return cls(name=name, raw=raw)

    @property
    def id(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()[:32]

    def __str__(self) -> str:
        return f"{self.name}:{base64.b64encode(self.raw).decode('ascii')}"


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A private key and its public part."""

    public: PublicKey
    secret: Ed25519PrivateKey = field(repr=False)

    def sign(self, payload: bytes) -> bytes:
        """The envelope of these bytes."""
        signature = self.secret.sign(_pre_authentication(PAYLOAD, payload))
        envelope = {
            "payload": base64.b64encode(payload).decode("ascii"),
            "payloadType": PAYLOAD,
            "signatures": [{"keyid": self.public.id, "sig": base64.b64encode(signature).decode("ascii")}],
        }
        return (json.dumps(envelope, sort_keys=True) + "\n").encode()


def verify(envelope: bytes, trusted: Sequence[PublicKey]) -> tuple[bytes, PublicKey]:
    """The bytes in the envelope and which of these keys has signed them. Raises StoreError when none has."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    payload, signatures = _open(envelope)
    text = _pre_authentication(PAYLOAD, payload)
    wrong = None
    for keyid, signature in signatures:
        # The id is a hint; an envelope without one is tried with every key.
        for key in trusted:
            if keyid not in ("", key.id):
                continue
            try:
                Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, text)
                return payload, key
            except (InvalidSignature, ValueError):
                wrong = key.name if keyid else wrong
    if wrong is not None:
        raise StoreError(f"the signature of {wrong} is not right")
    raise StoreError("it is not signed by a key that is trusted here")


def _open(envelope: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    try:
        outer: Any = json.loads(envelope)
        if not isinstance(outer, dict) or outer.get("payloadType") != PAYLOAD:
            raise StoreError("it is no signed entry of a cache")
        rows = outer["signatures"]
        if not isinstance(rows, list) or len(rows) > MOST_SIGNATURES:
            raise StoreError("it is no signed entry of a cache")
        found = [(str(row.get("keyid") or ""), _bytes(row["sig"])) for row in rows if isinstance(row, Mapping)]
        return _bytes(outer["payload"]), found
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreError("it is no signed entry of a cache") from None


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str):
        raise ValueError
    return base64.b64decode(text, validate=True)


def _pre_authentication(kind: str, payload: bytes) -> bytes:
    """PAE of the DSSE protocol."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def key_folder() -> Path:
    """$XDG_CONFIG_HOME/photonbuild/cache-keys"""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "photonbuild" / "cache-keys"


def new_key(name: str, folder: Path) -> tuple[PublicKey, Path]:
    """Make a key; its private part is NAME.pem in the folder, mode 0600. Raises ConfigError where there is one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    if not NAME.fullmatch(name):
        raise ConfigError(f"'{name}' is no name of a key: letters, digits, '.', '_' and '-'")
    secret, path = Ed25519PrivateKey.generate(), folder / f"{name}.pem"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigError("there is a key of this name", where=str(path), hint="take another name") from None
    with os.fdopen(handle, "wb") as file:
        file.write(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return PublicKey(name=name, raw=secret.public_key().public_bytes_raw()), path


def load_signer(file: str | None) -> Signer | None:
    """The key in the file, else that of $PHOTONBUILD_CACHE_KEY, the path of one or its text; None where there is none.

    Raises ConfigError.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if file is None and not given:
        return None
    if file is None and given.startswith("-----BEGIN"):
        return _signer(given.encode(), VARIABLE, f"${VARIABLE}")
    path = Path(file if file is not None else given).expanduser()
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError("others can read this private key", where=str(path), hint=f"chmod 600 {path}")
        return _signer(path.read_bytes(), path.stem, str(path))
    except OSError as error:
        raise ConfigError(f"the key of the cache cannot be read: {error.strerror}", where=str(path)) from None


def _signer(pem: bytes, name: str, where: str) -> Signer:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        secret = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        secret = None
    if not isinstance(secret, Ed25519PrivateKey):
        raise ConfigError(
            "this is no Ed25519 private key", where=where, hint="photonbuild cache key new NAME makes one"
        )
    name = name if NAME.fullmatch(name) else "key"
    return Signer(public=PublicKey(name=name, raw=secret.public_key().public_bytes_raw()), secret=secret)
