"""The manifest of an entry: what was made under which key, and in which blobs it lies. It is all that is signed.

A cache holds ``entries/KIND/NAME/KEY.json``, the signed manifest, and ``blobs/SHA256``. The record of what was
made lies in the manifest itself where it is small, so that one request brings it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from photonbuild.errors import StoreError

KINDS = ("seed", "spec", "package", "image")
Kind = Literal["seed", "spec", "package", "image"]
MOST_MANIFEST = 4 << 20  # bytes
MOST_INLINE = 256 << 10  # bytes of a part that lies in the manifest
LARGEST = 16 << 30  # bytes of a blob, packed or not
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, StringConstraints(max_length=255, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+~^-]*$")]
PartName = Annotated[str, StringConstraints(max_length=20, pattern=r"^[a-z]+$")]
Line = Annotated[str, StringConstraints(max_length=200, pattern=r"^[ -~]*$")]
Size = Annotated[int, Field(ge=0, le=LARGEST)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Part(_Model):
    """A blob: digest and size of its bytes, size of what they unpack to, and `data`, the bytes of one that is small."""

    sha256: Digest
    size: Size
    unpacked: Size
    data: Annotated[str, StringConstraints(max_length=MOST_INLINE * 4 // 3 + 4)] | None = None


class Manifest(_Model):
    """An entry: `parts` by their names, `made_by` the version of the program that packed it."""

    version: Literal[1] = 1
    kind: Kind
    name: Word
    key: Digest
    parts: dict[PartName, Part]
    made_by: Line

    @property
    def path(self) -> str:
        return entry_path(self.kind, self.name, self.key)


def entry_path(kind: str, name: str, key: str) -> str:
    return f"entries/{kind}/{name}/{key}.json"


def blob_path(sha256: str) -> str:
    return f"blobs/{sha256}"


def encode(manifest: Manifest) -> bytes:
    """The bytes that are signed: the same for the same manifest."""
    return manifest.model_dump_json(exclude_none=True).encode()


def decode(data: bytes, *, kind: str, name: str, key: str) -> Manifest:
    """The manifest in bytes whose signature was verified; it must be of the entry that was asked for.

    Raises StoreError: what is signed may still be of another time or another entry.
    """
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise StoreError(f"it is no manifest: {_first(error)}") from None
    if (manifest.kind, manifest.name, manifest.key) != (kind, name, key):
        raise StoreError(f"it is the entry of {manifest.kind} {manifest.name} {manifest.key[:12]}")
    return manifest


def inline(part: Part) -> bytes | None:
    """The bytes of a part that lie in the manifest. Raises StoreError."""
    if part.data is None:
        return None
    try:
        return base64.b64decode(part.data, validate=True)
    except (binascii.Error, ValueError):
        raise StoreError("a part of its manifest is no base64") from None


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _first(error: ValidationError) -> str:
    """Where and what, without the value: it may be anything."""
    details: list[Mapping[str, Any]] = list(error.errors(include_url=False, include_input=False, include_context=False))
    one = details[0]
    place = ".".join("".join(char if char.isprintable() else "?" for char in str(word)) for word in one["loc"])[:100]
    return f"{place}: {one['msg']}" if place else str(one["msg"])
