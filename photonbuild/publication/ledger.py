"""What was ever published in a repository, kept beside it for the publishers that come after.

By it a package is refused whose number was published with other content, and `photonbuild repo gc` knows what running
clients may still ask for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from photonbuild.errors import StoreError


@dataclass(frozen=True, kw_only=True)
class Publication:
    """One state of a repository. `time`: seconds since 1970; `files`: paths in the repository of its metadata files."""

    time: int
    revision: str
    primary: str
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """`content`: the digest, before it was signed, of every package by NEVRA; `since`: when it was first published, in
    seconds since 1970. `publications`: the newest last."""

    content: Mapping[str, str] = field(default_factory=dict)
    since: Mapping[str, int] = field(default_factory=dict)
    publications: tuple[Publication, ...] = ()

    def conflicts(self, content: Mapping[str, str]) -> list[str]:
        """The NEVRAs that were published with other content."""
        return sorted(nevra for nevra, digest in content.items() if self.content.get(nevra, digest) != digest)

    def add(self, publication: Publication, content: Mapping[str, str]) -> Ledger:
        """With one more publication, unless its metadata is that of the newest."""
        last = self.publications[-1:]
        known = last and last[0].files == publication.files
        return replace(
            self,
            content={**self.content, **content},
            since={**dict.fromkeys(content, publication.time), **self.since},
            publications=self.publications if known else (*self.publications, publication),
        )

    def dump(self) -> bytes:
        value = {
            "content": dict(self.content),
            "since": dict(self.since),
            "publications": [vars(publication) for publication in self.publications],
        }
        return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def parse_ledger(data: bytes | None, where: str) -> Ledger:
    """From the file, or an empty one. Raises StoreError."""
    if data is None:
        return Ledger()
    try:
        value: dict[str, Any] = json.loads(data)
        publications = tuple(
            Publication(
                time=int(entry["time"]),
                revision=str(entry["revision"]),
                primary=str(entry["primary"]),
                files=tuple(map(str, entry["files"])),
            )
            for entry in value["publications"]
        )
        return Ledger(
            content={str(k): str(v) for k, v in value["content"].items()},
            since={str(k): int(v) for k, v in value.get("since", {}).items()},
            publications=publications,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        hint = "restore it from a copy, or remove it: numbers are then no longer compared"
        raise StoreError("this is no record of publications", where=where, detail=str(error), hint=hint) from None
