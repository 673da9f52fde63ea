"""The host's memory."""

from __future__ import annotations

import pytest

from pico.errors import PicoError
from pico.vm import memory


def test_nothing_is_started_without_memory() -> None:
    total, available = memory.of_host()
    assert 0 < available <= total
    with pytest.raises(PicoError, match="no memory for a machine of") as too_large:
        memory.require(total + 1)
    assert str(total) in too_large.value.message
    with pytest.raises(PicoError, match="no memory left for another machine"):
        memory.require(1, least=total + 1)
