"""What the user is told on stderr."""

from __future__ import annotations

import sys

from photonbuild.errors import PhotonbuildError


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def tell(error: PhotonbuildError) -> None:
    """Detail, message and hint of an error."""
    for line in (error.detail or "").rstrip().splitlines():
        say(f"  │ {line}")
    say(f"error: {error}")
    if error.hint:
        say(f"\nhint: {error.hint}")
