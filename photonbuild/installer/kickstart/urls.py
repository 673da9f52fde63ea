"""URLs in messages, logs and what is shown: without what may be secret: user, password, query and fragment."""

from __future__ import annotations

import re

_URL = re.compile(r"\b(https?://)(?:[^\s/?#]*@)?([^\s?#]*)(?:[?#]\S*)?", re.IGNORECASE)


def redacted(text: str) -> str:
    """`text` with every URL in it cut down to scheme, host and path."""
    return _URL.sub(r"\1\2", text)
