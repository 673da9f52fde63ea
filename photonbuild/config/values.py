"""Forms of the texts in an image's settings: paths, names, crypted passwords, keys. Checks that say what is wrong."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

UNIT_SUFFIXES = "automount|mount|path|service|slice|socket|swap|target|timer"
# crypt(5): yescrypt, gost-yescrypt, bcrypt, SHA-512, SHA-256.
CRYPTED = re.compile(
    r"\$g?y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}"
    r"|\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}"
    r"|\$6\$(rounds=[0-9]+\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
    r"|\$5\$(rounds=[0-9]+\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}"
)
HASH_IT = "hash it first: openssl passwd -6"
KEY = re.compile(
    r"(?:[^#\s](?:[^\s\"]|\"[^\"]*\")* )?"
    r"((?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)) "
    r"([A-Za-z0-9+/]+=*)(?: .*)?"
)


def inner_path(value: str) -> str:
    """An absolute path of a file in the image, in its simplest form."""
    parts = value.split("/")[1:]
    if not value.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in value:
        raise ValueError(f"'{value}' is no plain absolute path of a file")
    return value


def _folder(value: str) -> str:
    return value if value == "/" else inner_path(value)


def unit(value: str) -> str:
    if not re.fullmatch(rf"[A-Za-z0-9:_.\\@-]+\.({UNIT_SUFFIXES})", value):
        raise ValueError(f"'{value}' is no name of a unit: one ends in .service, .socket, .timer, .target, …")
    return value


def _mode(value: object) -> object:
    """YAML takes 0644 for text and 4755 for a number; both mean an octal mode."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _crypted(value: str) -> str:
    # The value is in no message: it may be the password.
    if re.match(r"\$(1|sha1|md5|3)\$", value):
        raise ValueError(f"a hash of this kind is easily undone; {HASH_IT}")
    if not CRYPTED.fullmatch(value):
        raise ValueError(f"a plain password is not accepted, nor is what crypt(5) does not know; {HASH_IT}")
    return value


def _public_key(value: str) -> str:
    if "PRIVATE KEY" in value:
        raise ValueError("this is a private key: the public one is in the file beside it that ends in .pub")
    match = KEY.fullmatch(value.strip())
    try:
        blob = base64.b64decode(match[2], validate=True) if match else b""
    except binascii.Error:
        blob = b""
    if match is None or blob[4 : 4 + int.from_bytes(blob[:4], "big")] != match[1].encode():
        raise ValueError("one line is expected as ssh-keygen writes it into a file that ends in .pub")
    return value.strip()


def _one_line(value: str) -> str:
    if not value.isprintable() or ":" in value:
        raise ValueError("one line without a colon is expected")
    return value


def _zone(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", value):
        raise ValueError(f"'{value}' is no name of a time zone, like Europe/Berlin")
    return value


def _host_name(value: str) -> str:
    if len(value) > 64 or not re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*(?<!-)", value):
        raise ValueError(f"'{value}' is no host name: letters, digits, - and ., 64 of them at most")
    return value


def _source(value: str) -> str:
    if not value or value.startswith("/") or "\0" in value:
        raise ValueError("a path is expected that begins in build/")
    return value


InnerPath = Annotated[str, AfterValidator(inner_path)]
InnerFolder = Annotated[str, AfterValidator(_folder)]
Unit = Annotated[str, AfterValidator(unit)]
Mode = Annotated[str, BeforeValidator(_mode, json_schema_input_type=str), Field(pattern=r"^[0-7]{4}$")]
Crypted = Annotated[str, AfterValidator(_crypted)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
OneLine = Annotated[str, AfterValidator(_one_line)]
TimeZone = Annotated[str, AfterValidator(_zone)]
Source = Annotated[str, AfterValidator(_source)]
# useradd(8) and systemd's user names, "strict mode".
Account = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")]
HostName = Annotated[str, AfterValidator(_host_name)]
Id = Annotated[int, Field(ge=1, le=60000)]
