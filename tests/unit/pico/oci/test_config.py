"""What an image says about running it."""

from __future__ import annotations

from typing import Any

import pytest

from pico.errors import NotFoundError, PicoError
from pico.oci import config
from tests.support.oci_images import (
    CONFIG,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "arm64"}, "is for linux/arm64, machines are linux/amd64"),
        ({"os": "windows"}, "is for windows/amd64"),
        ({"architecture": None}, "names no architecture"),
        ({"rootfs": None}, "is not one"),
        ({"rootfs": {"diff_ids": []}}, "has no layers"),
        ({"config": {"Cmd": "sh"}}, "key 'Cmd'"),
        ({"config": {"StopSignal": "SIGNOTHING"}}, "unknown signal"),
    ],
)
def test_bad_configurations(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PicoError, match=message):
        config.parse({**CONFIG, **change}, "image")


IMAGE = config.ImageConfig(entrypoint=("/entry",), command=("default",), env=("A=1", "PATH=/bin"))


@pytest.mark.parametrize(
    ("entrypoint", "command", "result"),
    [
        (None, [], ["/entry", "default"]),
        (None, ["x", "y"], ["/entry", "x", "y"]),
        ("/other", [], ["/other"]),
        ("/other", ["x"], ["/other", "x"]),
        ("", ["x"], ["x"]),
    ],
)
def test_entrypoint_and_command(entrypoint: str | None, command: list[str], result: list[str]) -> None:
    assert config.arguments(IMAGE, entrypoint, command, "image") == result


def test_nothing_to_run() -> None:
    with pytest.raises(NotFoundError, match="no entrypoint and no command"):
        config.arguments(config.ImageConfig(), None, [], "image")


def test_environment() -> None:
    found = config.environment(IMAGE, ["A=2", "B=3"], tty=True)
    assert found == ["PATH=/bin", "TERM=xterm", "A=2", "B=3"]


@pytest.mark.parametrize(("text", "number"), [("SIGTERM", 15), ("kill", 9), ("3", 3), ("SIGRTMIN+3", 37)])
def test_signals(text: str, number: int) -> None:
    assert config.signal_number(text) == number
