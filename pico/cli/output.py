"""What the user is told: messages on stderr, what a command gives on stdout; both as JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from photonbuild.errors import PhotonbuildError


@dataclass(frozen=True, kw_only=True)
class Output:
    """With `as_json` a message is one of photonbuild's events, a line each, and an answer one JSON document."""

    as_json: bool = False

    def say(self, text: str) -> None:
        sys.stderr.write(f"{_event('info', text=text) if self.as_json else text}\n")

    def tell(self, error: PhotonbuildError) -> None:
        """Detail, message and hint of an error."""
        if self.as_json:
            facts = {"message": error.message, "where": error.where, "hint": error.hint, "detail": error.detail}
            sys.stderr.write(f"{_event('error', code=error.exit_code, **facts)}\n")
            return
        for line in (error.detail or "").rstrip().splitlines():
            self.say(f"  │ {line}")
        self.say(f"error: {error}")
        if error.hint:
            self.say(f"\nhint: {error.hint}")

    def answer(self, data: Any, text: str) -> None:
        """On stdout: the data, or the text as it is."""
        print(f"{json.dumps(data, indent=1)}\n" if self.as_json else text, end="")

    def each(self, rows: Iterable[str]) -> None:
        """On stdout: lines as they come, or all of them as data."""
        if self.as_json:
            self.answer(list(rows), "")
        else:
            for row in rows:
                print(row, flush=True)


def _event(kind: str, **facts: Any) -> str:
    """See ``photonbuild/events.py``, whose models take a tenth of a second to import."""
    return json.dumps({"event": kind, "time": round(time.time(), 3), **facts})
